"""The whole main path, for a person to watch: `make demo`.

Starts the embedded stack, then runs the collection's own playbooks against it as an operator
would: deploy, deploy the next release, restart, deploy a broken release that is rolled back by
itself, back up, lose a table, restore while the agent serves, prove the backup once more, stop.
Stops what it started, also when a step fails; with --keep it leaves all of it running, then too.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
HOME = CHECKOUT / ".demo"
PORT_FILE = HOME / "port"
AGENT_SOURCE = CHECKOUT / "demo" / "agent"
BROKEN_SOURCE = HOME / "broken-agent"
REPLICAS = 3
ANSIBLE_FAILED = 2


@dataclass(frozen=True)
class Step:
    """One playbook run: what it shows, its extra variables, and the exit code it must end with."""

    title: str
    playbook: str
    variables: tuple[str, ...] = ()
    expect: int = 0


@dataclass(frozen=True)
class Query:
    """A statement for the agent's database: what it shows, and what it must answer."""

    title: str
    statement: str
    answer: str


def release(release_id: str, source: Path) -> tuple[str, ...]:
    return f"cost_agent_release={release_id}", f"cost_agent_release_source={source}"


SAVINGS = "SELECT count(*), sum(monthly_saving) FROM cost.recommendations"
# The demo agent makes the same rows every time.
ALL_SAVINGS = "60|5954.62"
CONFIRM = "cost_agent_restore_confirm=cost_agent"

STEPS: tuple[Step | Query, ...] = (
    Step("Deploy the first release", "deploy", release("1.4.1", AGENT_SOURCE)),
    Step("Deploy the next one", "deploy", release("1.4.2", AGENT_SOURCE)),
    Step("Restart, one replica at a time", "restart"),
    Step(
        "Deploy a broken release: it must fail and be rolled back",
        "deploy",
        release("1.5.0", BROKEN_SOURCE),
        expect=ANSIBLE_FAILED,
    ),
    Step("The agent serves on", "health"),
    Step("Back the database up", "backup"),
    Query("What somebody will miss", SAVINGS, ALL_SAVINGS),
    Query("Somebody drops the table", "DROP TABLE cost.recommendations", "DROP TABLE"),
    Step(
        "Restore while the agent serves: into a new database, which is swapped in",
        "restore",
        ("cost_agent_restore_swap=true", CONFIRM),
    ),
    Query("It is all there", SAVINGS, ALL_SAVINGS),
    Step("Prove the backup: restore it into a scratch database", "drill"),
    Step("What backups there are", "backups"),
)
STOP = Step("Stop", "stop")


def main() -> int:
    """Run the demo; 0 when every step ended as it must."""
    parser = argparse.ArgumentParser(description="Operate a real Cost Agent on a real stack.")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--keep", action="store_true", help="leave it running at the end")
    mode.add_argument("--down", action="store_true", help="stop what --keep left running")
    arguments = parser.parse_args()
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    if arguments.down:
        return tear_down()
    started = time.monotonic()
    succeeded = False
    try:
        succeeded = bring_up() and all(run(step) for step in STEPS)
    except KeyboardInterrupt:
        print("\ninterrupted")
    finally:
        stopped = 0 if arguments.keep else tear_down()
    print(f"\ndemo {'done' if succeeded else 'FAILED'} in {time.monotonic() - started:.0f} s")
    if arguments.keep:
        print_addresses()
    elif not succeeded:
        print("look    make demo-keep, which leaves all of it running where a step fails")
    return 0 if succeeded and stopped == 0 else 1


def bring_up() -> bool:
    """A fresh stack, a free port range, and a release that cannot start."""
    if tear_down() != 0 or not stack("up"):
        return False
    PORT_FILE.write_text(f"{free_ports(REPLICAS)}\n")
    shutil.copytree(AGENT_SOURCE, BROKEN_SOURCE)
    with (BROKEN_SOURCE / "src" / "main.py").open("a") as source:
        source.write("\nraise RuntimeError('release 1.5.0 cannot read its price list')\n")
    return True


def tear_down() -> int:
    """Stop the agent and the stack and remove what they kept; 0 when nothing is left."""
    if not HOME.exists():
        return 0
    agent_stopped = not PORT_FILE.exists() or play(STOP)
    if not agent_stopped or not stack("down", "--purge"):
        return 1
    shutil.rmtree(HOME)
    return 0


def stack(*words: str) -> bool:
    heading(f"Stack {words[0]}", " ".join(["python demo/stack", *words]))
    command = [sys.executable, CHECKOUT / "demo/stack", *words]
    return subprocess.run(command, check=False).returncode == 0


def run(step: Step | Query) -> bool:
    return play(step) if isinstance(step, Step) else ask(step)


def ask(query: Query) -> bool:
    """Run the statement with psql; whether it answers as it must."""
    heading(query.title, f'psql cost_agent -c "{query.statement}"')
    server = json.loads((HOME / "stack" / "stack.json").read_text())["postgres"]
    address = f"host={server['host']} port={server['port']} user={server['user']}"
    finished = subprocess.run(
        [
            f"{server['bin_dir']}/psql",
            f"{address} dbname={server['database']}",
            "--no-psqlrc",
            "--tuples-only",
            "--no-align",
            f"--command={query.statement}",
        ],
        env={**os.environ, "PGPASSWORD": Path(server["password_file"]).read_text().strip()},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    answer = finished.stdout.strip()
    print(answer)
    if answer != query.answer:
        print(f"expected {query.answer}")
    return answer == query.answer


def play(step: Step) -> bool:
    command = ["ansible-playbook", f"playbooks/{step.playbook}.yml", "-i", "inventories/local"]
    for variable in step.variables:
        command += ["-e", variable]
    heading(step.title, " ".join(command).replace(str(CHECKOUT), "$PWD"))
    code = subprocess.run(command, cwd=CHECKOUT, check=False).returncode
    if code != step.expect:
        print(f"ansible-playbook ended with {code}, expected {step.expect}")
    return code == step.expect


def heading(title: str, command: str) -> None:
    print(f"\n## {title}\n$ {command}\n", flush=True)


def print_addresses() -> None:
    if PORT_FILE.exists():
        port = int(PORT_FILE.read_text())
        for number in range(port, port + REPLICAS):
            print(f"agent   http://127.0.0.1:{number}/api/v1/health/detailed")
    print("path    . .venv/bin/activate")
    print("stack   python demo/stack status")
    print("look    ansible-playbook playbooks/health.yml -i inventories/local")
    print("logs    ansible-playbook playbooks/logs.yml -i inventories/local")
    print(f"logs    {HOME.relative_to(CHECKOUT)}/stack/log, of the servers")
    print("stop    make demo-down")


def free_ports(count: int, first: int = 8001) -> int:
    """The first of `count` free consecutive ports: the guide's 8001 where it is free."""
    while not all(is_free(port) for port in range(first, first + count)):
        first += count
    return first


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


if __name__ == "__main__":
    sys.exit(main())
