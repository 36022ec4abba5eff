# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The systemd platform for tests: an agent of real services in a machine with a real systemd.

The engine runs inside the machine, on its Python, as a module does there. The releases hold the
stand-in for uvicorn, so that what systemd does is what is tested; the real agent is the playbooks'
test.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.operation import (
    Operation,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.agent import AGENT
from docker.models.containers import Container

from tests.component.operated_platform import TIMEOUT_S, OperatedPlatform, options
from tests.component.playbook_run import CHECKOUT, run_playbook
from tests.component.process_platform import is_running, write_release
from tests.images.systemd import REFERENCE
from tests.platforms.home import Engine, SystemdMachine
from tests.waiting import eventually

AGENT_SOURCE = "/usr/local/src/agent"
_COLLECTIONS = "/usr/local/lib/collections"
# Not the whole checkout: the engine's own mounts are below its .cache, and would come along.
_MOUNTS = {
    CHECKOUT / "plugins": f"{_COLLECTIONS}/ansible_collections/optiinfra/cost_agent/plugins",
    CHECKOUT / "demo" / "agent": AGENT_SOURCE,
}
_RUNNER = """
import json, os, sys
from importlib import import_module
core = "ansible_collections.optiinfra.cost_agent.plugins.module_utils.core"
given = json.loads(os.environ.pop("OPERATION"))
operation = getattr(import_module(given["module"]), given["operation"])
context = import_module(f"{core}.context").Context(check_mode=given["check"])
print(json.dumps(import_module(f"{core}.operation").execute(operation, given["params"], context)))
"""
HOME = "/opt/cost-agent"
_KINDS = ("service", "socket")
_DROP_IN = "/etc/systemd/system/cost-agent@.service.d/test.conf"


def agent_machine(engine: Engine, name: str) -> SystemdMachine:
    """A machine that has this collection."""
    return SystemdMachine(engine, name, mounts=_MOUNTS)


@dataclass(frozen=True)
class ForeignMachine:
    """A machine that something else than systemd runs."""

    engine: Engine
    container: Container


@contextmanager
def foreign_machine(engine: Engine, name: str) -> Iterator[ForeignMachine]:
    """A machine that has this collection, and whose first process is `sleep`."""
    volumes = {str(folder): {"bind": place, "mode": "ro"} for folder, place in _MOUNTS.items()}
    container = engine.client().containers.run(
        REFERENCE, ["sleep", "600"], name=name, detach=True, volumes=volumes
    )
    try:
        yield ForeignMachine(engine, container)
    finally:
        container.remove(force=True, v=True)


def install_units(machine: SystemdMachine, folder: Path, **variables: Any) -> None:
    """Apply the role deploy to a machine, by Ansible."""
    hosts = {"machine": {**machine.inventory_variables(), **variables}}
    inventory = folder / "inventory.json"
    inventory.write_text(json.dumps({"all": {"hosts": hosts}}))
    playbook = folder / "deploy.yml"
    play = {
        "hosts": "all",
        "gather_facts": False,
        "roles": [{"role": "optiinfra.cost_agent.deploy", "cost_agent_platform": "systemd"}],
    }
    playbook.write_text(json.dumps([play]))
    run = run_playbook(playbook, inventory, folder)
    assert run.code == 0, run.output


class SystemdPlatform(OperatedPlatform):
    """One agent on a machine whose units are installed; `close` leaves the machine as it was."""

    platform = "systemd"
    port = 8001

    def __init__(self, machine: SystemdMachine, restarts: bool = False) -> None:
        """Without `restarts` what a test kills stays dead; with them the units are as shipped."""
        self.machine = machine
        self.root = root_of(machine)
        self.home = self.root / HOME.lstrip("/")
        drop_in = self.root / _DROP_IN.lstrip("/")
        drop_in.parent.mkdir(exist_ok=True)
        drop_in.write_text("" if restarts else "[Service]\nRestart=no\n")
        machine.run(["systemctl", "daemon-reload"])

    # --- what an operator does ----------------------------------------------------------------

    def agent(self, state: str = "started", check: bool = False, **changes: Any) -> dict[str, Any]:
        return super().agent(state, check, **{"host": "0.0.0.0", **changes})

    def set_pool(
        self, size: int, overflow: int, check: bool = False, **changes: Any
    ) -> dict[str, Any]:
        return super().set_pool(size, overflow, check, **{"host": "0.0.0.0", **changes})

    def preflight(self, **arguments: Any) -> dict[str, Any]:
        return super().preflight(**{"host": "0.0.0.0", **arguments})

    def run(self, operation: Operation, check: bool = False, **arguments: Any) -> dict[str, Any]:
        outcome = Run(self.machine, operation, check, {"home": HOME, **arguments}).result()
        assert outcome is not None
        return outcome

    def begin(self, state: str, **changes: Any) -> Run:
        """The agent operation in the background, to be killed."""
        arguments = {"state": state, "replicas": 3, "timeout_s": TIMEOUT_S, "stop_grace_s": 5}
        return Run(self.machine, AGENT, False, {"home": HOME, **arguments, **changes})

    def deploy(self, release: str, source: str = "", **behaviour: Any) -> None:
        """Make a release current, as agent_release would; behaviour in capitals."""
        settings = "".join(f"{name.upper()} = {value!r}\n" for name, value in behaviour.items())
        write_release(self.home, release, settings + source, "/usr/bin/python3")

    # --- what a test looks at -----------------------------------------------------------------

    def names(self, count: int = 3) -> list[str]:
        return [f"cost-agent@{self.port + number}.service" for number in range(count)]

    def show(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.machine.run(["systemctl", "show", "--value", "-p", name, unit]).stdout.strip()

    def pids(self) -> dict[str, int]:
        """The first process of each replica, as this machine numbers it."""
        shown = ["systemctl", "show", "--value", "--property=MainPID", *self.names(9)]
        pids = map(int, self.machine.run(shown).stdout.split())
        return {
            name: outer_pid(pid, self.root)
            for name, pid in zip(self.names(9), pids, strict=True)
            if pid
        }

    def ask(self, name: str, timeout_s: float = 5) -> dict[str, Any]:
        port = name.rpartition("@")[2].partition(".")[0]
        url = f"http://{self.machine.address}:{port}/self"
        with urllib.request.urlopen(url, timeout=timeout_s) as answer:
            return dict(json.load(answer))

    def tree(self) -> dict[str, str]:
        drop_ins = (self.root / "etc/systemd/system").glob("cost-agent@*/*.conf")
        units = {str(path): path.read_text() for path in drop_ins}
        return {**super().tree(), **units}

    def kill(self, name: str) -> None:
        pid = self.pids()[name]
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: not is_running(pid) and self.pids().get(name) != pid)

    def close(self) -> None:
        units = [f"cost-agent@{name}.{kind}" for name in range(8001, 8010) for kind in _KINDS]
        every = " ".join(units)
        folders = " ".join(f"/etc/systemd/system/{unit}.d" for unit in units)
        steps = [
            f"systemctl unmask {every}",
            f"systemctl kill --signal=KILL {every}",
            f"systemctl stop {every}",
            f"systemctl disable {every}",
            f"rm -rf {HOME} {_DROP_IN} {folders}",
            "systemctl daemon-reload",
            "systemctl reset-failed",
            "journalctl --rotate --vacuum-size=1",
        ]
        self.machine.run(["sh", "-c", "; ".join(steps)])


class Run:
    """An operation on the machine; begins at once."""

    def __init__(
        self,
        machine: SystemdMachine | ForeignMachine,
        operation: Operation,
        check: bool,
        arguments: dict[str, Any],
    ) -> None:
        params = options(operation, **{"platform": "systemd", **arguments})
        order = {"module": operation.run.__module__, "operation": operation.name.upper()}
        order.update({"check": check, "params": params})
        self._api = machine.engine.client().api
        self._exec = self._api.exec_create(
            machine.container.id,
            ["python3", "-c", _RUNNER],
            environment={"OPERATION": json.dumps(order), "PYTHONPATH": _COLLECTIONS},
        )["Id"]
        self._output: dict[str, str] = {}
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        output, errors = self._api.exec_start(self._exec, demux=True)
        self._output = {"output": (output or b"").decode(), "errors": (errors or b"").decode()}

    def kill(self) -> None:
        """As the kernel does when memory is short; it must not have ended before."""
        os.kill(self._api.exec_inspect(self._exec)["Pid"], signal.SIGKILL)
        assert self.result() is None

    def result(self) -> dict[str, Any] | None:
        """What it returned; None where it was killed."""
        self._thread.join(120)
        assert not self._thread.is_alive()
        text = self._output["output"]
        assert text or self._api.exec_inspect(self._exec)["ExitCode"] == 137, self._output
        return dict(json.loads(text)) if text else None


def root_of(machine: SystemdMachine) -> Path:
    """The machine's file system, as root reaches it from here."""
    machine.container.reload()
    return Path(f"/proc/{machine.container.attrs['State']['Pid']}/root")


def outer_pid(inner: int, root: Path) -> int:
    """The pid that this machine gives a process which a container numbers `inner`."""
    namespace = os.readlink(root.parent / "ns/pid")
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and os.readlink(folder / "ns/pid") == namespace:
                status = (folder / "status").read_text()
                numbers = next(line for line in status.splitlines() if line.startswith("NSpid:"))
                if int(numbers.split()[-1]) == inner:
                    return int(folder.name)
        except OSError:  # it ended
            continue
    raise AssertionError(f"no process {inner} there")
