# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks run as an operator runs them, with every task's result kept for a look."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.component.playbook_server import PlaybookServer

CHECKOUT = Path(__file__).resolve().parents[2]
FIXTURES = CHECKOUT / "tests" / "fixtures"


@dataclass(frozen=True)
class Run:
    """How a playbook ended: its exit code, what it printed, and every task's result."""

    code: int
    output: str
    results: list[dict[str, Any]] = field(default_factory=list)

    def result_of(self, action: str) -> dict[str, Any]:
        """The last result of a module of this collection."""
        name = f"optiinfra.cost_agent.{action}"
        return [r["result"] for r in self.results if r["action"] == name][-1]

    @property
    def changed(self) -> list[str]:
        """The names of the tasks that changed something, without their role's."""
        changed = [r["task"] for r in self.results if r["result"].get("changed")]
        return [task.rpartition(" : ")[2] for task in changed]


def run_playbook(
    playbook: Path | str,
    inventory: Path | str,
    scratch: Path,
    *options: str,
    environment: dict[str, str] | None = None,
) -> Run:
    """Run a playbook with this interpreter's Ansible and record its results."""
    record = scratch / "results.jsonl"
    record.unlink(missing_ok=True)
    path = CHECKOUT / "playbooks" / f"{playbook}.yml" if isinstance(playbook, str) else playbook
    whole = ansible_environment(record) | (environment or {})
    arguments = [str(path), "-i", str(inventory), *options]
    code, output = _server(whole).run(arguments, whole, CHECKOUT, timeout_s=900)
    lines = record.read_text().splitlines() if record.exists() else []
    return Run(code, output, [json.loads(line) for line in lines])


_servers: dict[frozenset[tuple[str, str]], PlaybookServer] = {}


def _server(environment: dict[str, str]) -> PlaybookServer:
    """One for each set of ANSIBLE_ variables, which are read when Ansible is imported."""
    read_then = frozenset(each for each in environment.items() if each[0].startswith("ANSIBLE_"))
    server = _servers.get(read_then)
    if server is None or not server.is_open:
        server = _servers[read_then] = PlaybookServer(environment)
    return server


def kill_playbook_when(
    condition: Callable[[], bool],
    playbook: str,
    inventory: Path | str,
    scratch: Path,
    *options: str,
    seconds: float = 300,
) -> None:
    """Run a playbook until the condition holds, then end it and all its workers by SIGKILL.

    What the playbook started for good has a session of its own, and lives on.
    """
    command = [ansible("ansible-playbook"), str(CHECKOUT / "playbooks" / f"{playbook}.yml")]
    process = subprocess.Popen(
        [*command, "-i", str(inventory), *options],
        env=ansible_environment(scratch / "killed.jsonl"),
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        ends = time.monotonic() + seconds
        while not condition():
            assert process.poll() is None, "the playbook ended before it could be killed"
            assert time.monotonic() < ends, "what was waited for did not happen"
            time.sleep(0.02)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def ansible(program: str) -> str:
    return str(Path(sys.executable).parent / program)


def ansible_environment(record: Path) -> dict[str, str]:
    """This environment with the checkout's configuration and the recording callback."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {
        "PATH": path,
        "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": f"{CHECKOUT}/.venv/collections:{FIXTURES}/collections",
        "ANSIBLE_CALLBACK_PLUGINS": str(FIXTURES / "callback_plugins"),
        "ANSIBLE_CALLBACKS_ENABLED": "record,optiinfra.cost_agent.preload",
        "ANSIBLE_LOCALHOST_WARNING": "false",
        # A thousand looks a second at what a task does are a twentieth of a processor.
        "ANSIBLE_INTERNAL_POLL_INTERVAL": "0.01",
        "RECORD_FILE": str(record),
    }
