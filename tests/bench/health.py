# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What health costs, as ratios to baselines that are measured in the same run.

    python tests/bench/health.py

Prints a table of figures with the limits that they must keep; exits 1 when one does not.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # run as a script: the checkout's own packages come from there

from demo.stack import Stack  # noqa: E402
from tests.bench.figures import Figure, at_least, at_most, machine, say, show  # noqa: E402
from tests.component.agent_site import AGENT_SOURCE, Site  # noqa: E402

PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")
TARGETS = 1000
HANGING = 50
SAMPLES = 5
TIMEOUT_S = 3.0
URI_TARGETS = 40
THREADS = 64
HOSTS = 20
TASKS = 10
REPEATS = 5
BASIC_PATH = "/api/v1/health"


@dataclass(frozen=True)
class Run:
    """One ansible-playbook process, or several in one; `p95_ms` is the API's."""

    seconds: float
    peak_mb: float
    p95_ms: float


class Bench:
    """Runs plays in a folder of their own against one fleet of agents."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self.textfile = folder / "health.prom"
        self.empty = self.play("empty", [])

    def play(self, name: str, tasks: list[dict[str, object]], hosts: str = "localhost") -> Path:
        """A playbook, for the controller itself unless told otherwise."""
        path = self.folder / f"{name}.yml"
        play = {"name": name, "hosts": hosts, "gather_facts": False, "tasks": tasks}
        path.write_text(json.dumps([play]), encoding="utf-8")
        return path

    def health(self, name: str, targets: list[str], *tasks: object, **options: object) -> Path:
        """A playbook with one health_info task."""
        listed = [{"name": f"replica-{i}", "url": url} for i, url in enumerate(targets)]
        arguments = {"targets": listed, "textfile": str(self.textfile), **options}
        task = {
            "name": "Measure health",
            "optiinfra.cost_agent.health_info": arguments,
            "register": "health",
        }
        return self.play(name, [task, *tasks])  # type: ignore[list-item]

    def fleet(self, count: int, hanging: int = 0) -> list[str]:
        """Addresses of `count` agents, `hanging` of them spread among the rest."""
        every = count // hanging if hanging else count + 1
        return [
            f"http://127.{9 if (i + 1) % every == 0 else 0}.{i // 250}.{i % 250 + 1}:{self.port}"
            for i in range(count)
        ]

    def run(self, playbook: Path, *options: str) -> Run:
        """Run it; stop the benchmark when it fails."""
        environment = {
            **os.environ,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_STDOUT_CALLBACK": "default",
            "ANSIBLE_LOCALHOST_WARNING": "false",
        }
        with tempfile.TemporaryFile("w+") as output:
            started = time.perf_counter()
            process = subprocess.Popen(
                [str(PLAYBOOK), str(playbook), *options],
                cwd=ROOT,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            _pid, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - started
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                output.seek(0)
                raise SystemExit(f"{playbook.name} failed:\n{output.read()[-4000:]}")
        return Run(seconds, usage.ru_maxrss / 1024, self._api_p95_ms())

    def beside_empty(
        self, playbook: Path, repeats: int = REPEATS, options: tuple[str, ...] = ()
    ) -> tuple[Run, Run]:
        """The empty play and this one with the same options, run in turn in the same weather.

        The shortest time of each counts, because other work on the machine only adds to it.
        """
        pairs = [
            (self.run(self.empty, *options), self.run(playbook, *options))
            for _turn in range(repeats)
        ]
        return tuple(  # type: ignore[return-value]
            Run(
                min(run.seconds for run in side),
                max(run.peak_mb for run in side),
                statistics.median(run.p95_ms for run in side),
            )
            for side in zip(*pairs, strict=True)
        )

    def metric(self, name: str, **labels: str) -> float:
        """A figure of the last health play, from its textfile."""
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        for line in self.textfile.read_text(encoding="utf-8").splitlines():
            if line.startswith(f"cost_agent_health_{name}{{") and all(w in line for w in wanted):
                return float(line.rpartition(" ")[2])
        raise SystemExit(f"no metric {name} {labels}")

    def _api_p95_ms(self) -> float:
        if not self.textfile.exists():
            return 0.0
        return 1000 * self.metric("latency_seconds", indicator="api", quantile="0.95")


def one_agent(bench: Bench) -> Iterator[Figure]:
    """health.yml for one real agent, on its real database and cache, against an empty play."""
    stack = Stack(bench.folder / "stack")
    (bench.folder / "site").mkdir()
    try:
        site = Site(bench.folder / "site", stack.up(only=["postgres", "redis"]))
        one_replica = ("-e", "cost_agent_replicas=1")
        deployed = site.deploy("1.4.1", AGENT_SOURCE, *one_replica)
        if deployed.code:
            raise SystemExit(f"deploy.yml failed:\n{deployed.output}")
        options = ("-i", str(site.inventory), "-e", "cost_agent_health_samples=1")
        options += ("-e", "cost_agent_health_require=")
        health_yml = ROOT / "playbooks" / "health.yml"
        empty, health = bench.beside_empty(health_yml, 2 * REPEATS, options)
        site.play("stop")
        site.close()
    finally:
        stack.down(purge=True)
    yield Figure("empty play", f"{empty.seconds:.2f} s")
    yield Figure("health.yml, one agent, 1 sample", f"{health.seconds:.2f} s")
    ratio = health.seconds / empty.seconds
    yield at_most("health.yml / empty play", ratio, 1.5, "x")


def sweep(bench: Bench) -> Iterator[Figure]:
    """1,000 targets in one task, against looped uri, threads and one target alone."""
    _empty, alone = bench.beside_empty(bench.health("alone", bench.fleet(1), samples=200))
    yield Figure("one target alone, 200 samples, p95", f"{alone.p95_ms:.2f} ms")

    empty, whole = bench.beside_empty(bench.health("sweep", bench.fleet(TARGETS), samples=SAMPLES))
    beyond_s = whole.seconds - empty.seconds
    what = f"{TARGETS} x {SAMPLES} samples"
    yield Figure(f"{what}, beyond an empty play", f"{beyond_s:.2f} s")
    yield at_most(f"{what}, beyond / empty play", beyond_s / empty.seconds, 4.0, "x")
    yield at_most(f"{what}, peak memory", whole.peak_mb, 150, "MB")
    yield Figure("empty play, peak memory", f"{empty.peak_mb:.0f} MB")
    yield Figure(f"{what}, p95", f"{whole.p95_ms:.2f} ms")
    yield from threads(bench, what, whole.p95_ms)
    yield from uri(bench, beyond_s)
    yield from hanging(bench, whole.p95_ms)


def hanging(bench: Bench, p95_ms: float) -> Iterator[Figure]:
    """The same with dead targets among them; `p95_ms` is what it was without."""
    check = {
        "name": "Check that the dead ones are known and say why",
        "ansible.builtin.assert": {
            "that": [
                f"dead | length == {HANGING}",
                "dead | map(attribute='reason') | unique == ['timeout']",
            ]
        },
        "vars": {"dead": "{{ health.state.replicas | selectattr('verdict', 'eq', 'down') }}"},
    }
    fleet = bench.fleet(TARGETS, HANGING)
    options = {"samples": SAMPLES, "timeout_s": TIMEOUT_S}
    empty, whole = bench.beside_empty(bench.health("hanging", fleet, **options), repeats=3)
    bench.run(bench.health("reasons", fleet, check, **options))
    what = f"{HANGING} hang for {TIMEOUT_S:g} s"
    beyond_s = whole.seconds - empty.seconds - TIMEOUT_S
    yield Figure(f"{what}, beyond that", f"{beyond_s:.2f} s")
    yield at_most(f"{what}, beyond / empty play", beyond_s / empty.seconds, 2.0, "x")
    yield at_most(f"{what}, peak memory", whole.peak_mb, 150, "MB")
    down = bench.metric("replicas", verdict="down")
    yield Figure(f"{what}: down, reason timeout", f"{down:.0f}", f"{HANGING}", down == HANGING)
    yield Figure(f"{what}, p95 of the others", f"{whole.p95_ms:.2f} ms")
    yield at_most(f"{what}, p95 / without them", whole.p95_ms / p95_ms, 4.0, "x")


def uri(bench: Bench, sweep_s: float) -> Iterator[Figure]:
    """A loop of ansible.builtin.uri, scaled up from a few items."""
    task = {
        "name": "Ask for health",
        "ansible.builtin.uri": {"url": "{{ item }}" + BASIC_PATH, "return_content": True},
        "loop": bench.fleet(URI_TARGETS),
    }
    empty, loop = bench.beside_empty(bench.play("uri", [task]), repeats=1)
    each_s = (loop.seconds - empty.seconds) / URI_TARGETS
    ratio = each_s * TARGETS / sweep_s
    yield Figure(f"one looped uri (of {URI_TARGETS})", f"{each_s:.2f} s")
    what = f"{TARGETS} looped uri, extrapolated, / the sweep"
    yield at_least(what, ratio, 50, "x")


def threads(bench: Bench, what: str, p95_ms: float) -> Iterator[Figure]:
    """What plain threads in Python would have measured, beside what the sweep did."""

    def ask(url: str) -> float:
        connection = http.client.HTTPConnection(url.partition("://")[2], timeout=5)
        connection.connect()
        started = time.perf_counter()
        connection.request("GET", BASIC_PATH)
        connection.getresponse().read()
        latency_ms = 1000 * (time.perf_counter() - started)
        connection.close()
        return latency_ms

    with ThreadPoolExecutor(THREADS) as pool:
        latencies = sorted(pool.map(ask, bench.fleet(TARGETS)))
    plain_ms = latencies[int(len(latencies) * 0.95)]
    yield Figure(f"{THREADS} plain threads, the same targets, p95", f"{plain_ms:.2f} ms")
    yield at_most(f"{what}, p95 / theirs", p95_ms / plain_ms, 0.2, "x")


def two_ways(bench: Bench) -> Iterator[Figure]:
    """20 hosts with 10 tasks, in the controller's process and as modules."""
    tasks = [
        {"name": "Look", "optiinfra.cost_agent.agent_info": {"home": str(bench.folder / "none")}}
        for _task in range(TASKS)
    ]
    playbook = bench.play("ways", tasks, hosts="all")
    controller = bench.run(playbook, "-i", str(inventory(bench, "controller", sys.executable)))
    # The same interpreter by another path: it is not known to be the controller's own.
    (bench.folder / "venv").symlink_to(sys.prefix)
    other = bench.folder / "venv" / "bin" / Path(sys.executable).name
    shipped = bench.run(playbook, "-i", str(inventory(bench, "shipped", str(other))))
    ratio = shipped.seconds / controller.seconds
    what = f"{HOSTS} hosts x {TASKS} tasks"
    yield Figure(f"{what}, in the controller", f"{controller.seconds:.1f} s")
    yield Figure(f"{what}, shipped modules", f"{shipped.seconds:.1f} s")
    yield at_least(f"{what}, shipped / controller", ratio, 8, "x")


def inventory(bench: Bench, name: str, interpreter: str) -> Path:
    variables = {"ansible_connection": "local", "ansible_python_interpreter": interpreter}
    hosts = {f"host-{number}": {} for number in range(HOSTS)}
    path = bench.folder / f"{name}.yml"
    path.write_text(json.dumps({"all": {"hosts": hosts, "vars": variables}}), encoding="utf-8")
    return path


SECTIONS: list[Callable[[Bench], Iterator[Figure]]] = [one_agent, sweep, two_ways]


@contextlib.contextmanager
def target_server() -> Iterator[int]:
    """The fleet's port; the server is stopped at the end."""
    script = Path(__file__).with_name("target_server.py")
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


def main() -> int:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(4096, hard)), hard))
    say(machine())
    kept = True
    with tempfile.TemporaryDirectory() as folder, target_server() as port:
        bench = Bench(Path(folder), port)
        bench.run(bench.empty)  # fills the file cache
        for section in SECTIONS:
            for figure in section(bench):
                show(figure)
                kept = kept and figure.kept is not False
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
