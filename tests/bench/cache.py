# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""redis_config beside the guide's redis-cli lines, and what it costs a Redis with a million keys.

    python tests/bench/cache.py                    everything, 9 rounds
    python tests/bench/cache.py --keys 100000      a smaller keyspace

Prints the figures with their limits; exits 1 when one is not kept. Needs redis-cli.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # run as a script: the checkout's own packages come from there

from ansible_collections.optiinfra.cost_agent.plugins.module_utils.redis.node import (  # noqa: E402
    Node,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.redis.redis_check_info import (  # noqa: E402
    REDIS_CHECK_INFO,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.redis.redis_config import (  # noqa: E402
    REDIS_CONFIG,
)

from tests.bench.figures import Figure, at_most, machine, say, show  # noqa: E402
from tests.component.operations import run_operation  # noqa: E402
from tests.component.redis_servers import RedisServer, redis_server  # noqa: E402

CACHE = ROOT / ".cache" / "bench"
GUIDE = {"maxmemory": "2gb", "maxmemory-policy": "allkeys-lru"}
# Two values each, so that every round changes every one of them.
MANY = {
    "hz": (10, 20), "timeout": (0, 60), "tcp-keepalive": (300, 200), "maxclients": (500, 600),
    "lfu-log-factor": (10, 11), "lfu-decay-time": (1, 2), "slowlog-max-len": (128, 256),
    "maxmemory-samples": (5, 6), "active-expire-effort": (1, 2), "repl-timeout": (60, 90),
    "repl-backlog-size": ("1mb", "2mb"), "repl-backlog-ttl": (3600, 1800), "acllog-max-len": (128, 64),
    "repl-ping-replica-period": (10, 5), "min-replicas-max-lag": (10, 20), "replica-priority": (100, 90),
    "hash-max-listpack-entries": (512, 256), "hash-max-listpack-value": (64, 32),
    "set-max-intset-entries": (512, 256), "set-max-listpack-entries": (128, 64),
    "set-max-listpack-value": (64, 32), "zset-max-listpack-entries": (128, 64),
    "zset-max-listpack-value": (64, 32), "list-max-listpack-size": (-2, -1),
    "list-compress-depth": (0, 1), "hll-sparse-max-bytes": (3000, 2000),
    "stream-node-max-bytes": (4096, 2048), "stream-node-max-entries": (100, 50),
    "active-defrag-threshold-lower": (10, 20), "active-defrag-threshold-upper": (100, 90),
    "active-defrag-cycle-min": (1, 2), "active-defrag-cycle-max": (25, 20),
    "active-defrag-ignore-bytes": ("100mb", "50mb"), "auto-aof-rewrite-percentage": (100, 90),
    "auto-aof-rewrite-min-size": ("64mb", "32mb"), "latency-monitor-threshold": (0, 100),
    "lazyfree-lazy-eviction": ("no", "yes"), "lazyfree-lazy-expire": ("no", "yes"),
    "lazyfree-lazy-server-del": ("no", "yes"), "lazyfree-lazy-user-del": ("no", "yes"),
    "lazyfree-lazy-user-flush": ("no", "yes"), "replica-lazy-flush": ("no", "yes"),
    "rdbcompression": ("yes", "no"), "dynamic-hz": ("yes", "no"), "activerehashing": ("yes", "no"),
    "notify-keyspace-events": ("", "KEA"), "save": ("", "900 1 300 10"),
    "client-output-buffer-limit": ("pubsub 32mb 8mb 60", "pubsub 16mb 8mb 60"),
    "maxmemory": ("2gb", "1gb"), "maxmemory-policy": ("allkeys-lru", "allkeys-lfu"),
}  # fmt: skip


def config(server: RedisServer, settings: dict[str, Any], **options: Any) -> dict[str, Any]:
    outcome = run_operation(REDIS_CONFIG, settings=settings, **server.option, **options)
    if outcome.get("failed"):
        raise SystemExit(outcome["msg"])
    return outcome


def seconds(work: Callable[[int], object], rounds: int) -> float:
    """The median over the rounds; the first of all is not counted, which imports libraries."""
    took = []
    for number in range(rounds + 1):
        started = time.perf_counter()
        work(number)
        took.append(time.perf_counter() - started)
    return statistics.median(took[1:])


def requests_of(work: Callable[[], object]) -> int:
    """How many round trips the engine makes, without the connecting."""
    made, answers = [], Node.answers

    def counted(node: Node, purpose: str, commands: Any) -> Any:
        made.append(node.address)
        return answers(node, purpose, commands)

    Node.answers = counted  # type: ignore[method-assign]
    try:
        work()
    finally:
        Node.answers = answers  # type: ignore[method-assign]
    return len(made)


def guide(server: RedisServer, number: int) -> None:
    """The guide's two lines, with another size in every round."""
    lines = (("maxmemory", ("2gb", "1gb")[number % 2]), ("maxmemory-policy", "allkeys-lru"))
    for line in lines:
        command = ["redis-cli", "-p", str(server.port), "CONFIG", "SET", *line]
        subprocess.run(command, check=True, capture_output=True)


def beside_the_guide(server: RedisServer, rounds: int, lines: float) -> Iterator[Figure]:
    """`lines` is what the guide's two take, in seconds, as in the functions below."""
    assert len(MANY) == 50
    yield Figure("the guide's two redis-cli lines", f"{1000 * lines:.1f} ms")
    config(server, GUIDE)
    same = seconds(lambda number: config(server, GUIDE), rounds)
    yield Figure("redis_config, nothing to change", f"{1000 * same:.1f} ms")
    yield Figure("redis_config, nothing to change / the guide", f"{same / lines:.2f} x")
    wanted = [{**GUIDE, "maxmemory": size} for size in ("1gb", "2gb")]
    change = seconds(lambda number: config(server, wanted[number % 2]), rounds)
    yield Figure("redis_config, change and persist / the guide", f"{change / lines:.2f} x")
    config(server, GUIDE)
    requests = requests_of(lambda: config(server, GUIDE))
    yield at_most("requests with nothing to change", requests, 1, "")


def fifty_settings(server: RedisServer, rounds: int, lines: float) -> Iterator[Figure]:
    both = [{name: values[n] for name, values in MANY.items()} for n in (0, 1)]
    config(server, both[1])
    change = seconds(lambda number: config(server, both[number % 2]), rounds)
    yield Figure("50 settings, changed and persisted", f"{1000 * change:.1f} ms")
    yield at_most("50 settings, changed / the guide", change / lines, 3, "x")
    same = both[rounds % 2]
    config(server, same)
    unchanged = seconds(lambda _number: config(server, same), rounds)
    yield at_most("50 settings, nothing to change / the guide", unchanged / lines, 2, "x")
    yield at_most(
        "requests for 50, nothing to change", requests_of(lambda: config(server, same)), 1, ""
    )


def a_large_keyspace(server: RedisServer, keys: int, lines: float) -> Iterator[Figure]:
    """What foresight and checks cost the server, beside a thousandth of its keys."""
    small = _watched(server, keys // 1000)
    large = _watched(server, keys)
    yield Figure(f"commands for a keyspace of {keys // 1000:,}", str(small[0]))
    yield at_most(f"commands for a keyspace of {keys:,}", large[0], small[0], "")
    yield Figure(f"slowest command, {keys:,} keys", f"{large[1]:.1f} ms")
    yield at_most("the slowest command / the guide", large[1] / (1000 * lines), 1, "x")
    yield Figure("the slowest command was", large[2])
    yield Figure("redis_config's foresight", f"{1000 * large[3]:.0f} ms")
    yield Figure("redis_check_info", f"{1000 * large[4]:.0f} ms")
    yield from _estimate(server, "keys of one size", [100], keys)
    yield from _estimate(server, "keys of 100 and 1,000 bytes", [100, 1000], keys)


def _fill(server: RedisServer, keys: int, sizes: list[int]) -> int:
    """Bytes used with so many keys, of these sizes by turns."""
    with server.client(socket_timeout=120) as client:
        client.config_set("maxmemory", 0)
        client.flushall()
        for size in sizes:
            client.execute_command("DEBUG", "POPULATE", keys // len(sizes), f"key{size}", size)
        return int(client.info("memory")["used_memory"])


def _watched(server: RedisServer, keys: int) -> tuple[int, float, str, float, float]:
    """Commands that were run, the slowest's ms and name, and the seconds of both operations."""
    used = _fill(server, keys, [100])
    smaller = {"maxmemory": used * 9 // 10, "maxmemory-policy": "allkeys-lru"}
    with server.client() as client:
        client.config_set("slowlog-max-len", 100_000)
        client.config_set("slowlog-log-slower-than", 0)
        client.slowlog_reset()
        started = time.perf_counter()
        run_operation(
            REDIS_CONFIG, check=True, settings=smaller, allow_eviction=True, **server.option
        )
        foreseen = time.perf_counter()
        run_operation(REDIS_CHECK_INFO, **server.option)
        ended = time.perf_counter()
        client.config_set("slowlog-log-slower-than", 10_000)
        entries = client.execute_command("SLOWLOG", "GET", -1)
    ran = [each for each in entries if each[3][0].lower() not in ("slowlog", "client")]
    slowest = max(ran, key=lambda each: each[2])
    name = " ".join(slowest[3][:2])
    return len(ran), slowest[2] / 1000, name, foreseen - started, ended - foreseen


def _estimate(server: RedisServer, what: str, sizes: list[int], keys: int) -> Iterator[Figure]:
    """How far the foreseen number of keys is from what Redis evicts."""
    used = _fill(server, keys, sizes)
    settings = {"maxmemory": used * 8 // 10, "maxmemory-policy": "allkeys-random"}
    outcome = config(server, settings, allow_eviction=True, persist=False)
    foreseen = outcome["state"]["nodes"][0]["foresight"]["evicted_keys"]
    with server.client(socket_timeout=120) as client:
        held = -1
        while held != (held := client.dbsize()):
            client.set("one more", "x")
            time.sleep(0.5)
    evicted = keys - held
    yield Figure(f"foreseen, {what}", f"{foreseen:,}")
    yield Figure("evicted by Redis", f"{evicted:,}")
    yield at_most("off by", 100 * abs(foreseen - evicted) / evicted, 25, "%")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9, help="medians are of so many")
    parser.add_argument("--keys", type=int, default=1_000_000, help="in the large keyspace")
    given = parser.parse_args()
    if shutil.which("redis-cli") is None:
        parser.error("needs redis-cli: scripts/install-component.sh")
    CACHE.mkdir(parents=True, exist_ok=True)
    say(f"cache: {machine()}")
    missed = 0
    local = {"enable-debug-command": "local"}
    with (
        tempfile.TemporaryDirectory(dir=CACHE) as folder,
        redis_server(Path(folder) / "redis", settings=local) as server,
    ):
        lines = seconds(lambda number: guide(server, number), given.rounds)
        for figure in itertools.chain(
            beside_the_guide(server, given.rounds, lines),
            fifty_settings(server, given.rounds, lines),
            a_large_keyspace(server, given.keys, lines),
        ):
            show(figure)
            missed += figure.kept is False
    say()
    say("every limit is kept" if not missed else "not every limit is kept")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
