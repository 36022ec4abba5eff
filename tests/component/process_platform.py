# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The process platform for tests: an agent in a folder of its own, made of real processes.

Its releases hold a stand-in for uvicorn, on the standard library alone, that can be told to
misbehave. What the real agent does is the playbooks' test; here processes are what matters.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.operation import (
    Operation,
)
from ansible_collections.optiinfra.cost_agent.tests.component.operated_platform import (
    OperatedPlatform,
)

from tests.waiting import eventually

# Every reservation begins at a multiple of this, so that two never overlap unseen.
_PORTS_APART = 8

STAND_IN = '''\
"""A stand-in for uvicorn that starts fast: serves readiness and itself; misbehaves as told."""

import importlib, json, os, signal, socket, sys, threading, time

app_name, given = sys.argv[1], dict(zip(sys.argv[2::2], sys.argv[3::2]))
begun = time.monotonic()


def log(message):
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
    print(json.dumps({"time": stamp, "message": message}), flush=True)


behaviour = vars(importlib.import_module(app_name.partition(":")[0]))
if os.environ.get("DB_POOL_SIZE") == "13":
    sys.exit("no pool of thirteen")


def answer(connection):
    path = connection.recv(4096).split()[1]
    ready_after = behaviour.get("READY_AFTER_S", 0)
    ready = ready_after is not None and time.monotonic() - begun >= ready_after
    status = "200 OK" if ready or path != b"/api/v1/ready" else "503 Not Ready"
    body = json.dumps({"pid": os.getpid(), "environment": dict(os.environ)})
    connection.sendall(f"HTTP/1.0 {status}\\r\\n\\r\\n{body}".encode())
    connection.close()


def serve():
    while True:
        connection, _address = server.accept()
        threading.Thread(target=answer, args=[connection], daemon=True).start()


def terminate(number, frame):
    log("got SIGTERM")
    if not behaviour.get("IGNORES_SIGTERM"):
        time.sleep(behaviour.get("DRAINS_FOR_S", 0))
        log("finished its requests")
        os._exit(0)


signal.signal(signal.SIGTERM, terminate)
if "--fd" in given:
    server = socket.socket(fileno=int(given["--fd"]))
else:
    server = socket.create_server((given["--host"], int(given["--port"])))
if behaviour.get("DIES_AFTER_S") is not None:
    threading.Timer(behaviour["DIES_AFTER_S"], os._exit, (3,)).start()
log("listening, secret %s" % os.environ.get("API_TOKEN", "none"))
workers = []
count = int(given.get("--workers", 1))
for _ in range(count if count > 1 else 0):
    pid = os.fork()
    if pid == 0:
        serve()
    workers.append(pid)
if not workers:
    serve()


def terminate_workers(number, frame):
    for pid in workers:
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)
    os._exit(0)


signal.signal(signal.SIGTERM, terminate_workers)
while True:
    time.sleep(60)
'''


def reserve_ports(count: int) -> tuple[int, socket.socket]:
    """The first of that many consecutive free ports, below those that clients are given.

    The returned UDP socket on the first of them keeps other test runs away while it is open.
    """
    assert count <= _PORTS_APART
    for first in range(12000, 32000, _PORTS_APART):
        reservation = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with contextlib.ExitStack() as sockets:
            try:
                reservation.bind(("127.0.0.1", first))
                for port in range(first, first + count):
                    server = sockets.enter_context(socket.socket())
                    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    server.bind(("0.0.0.0", port))
            except OSError:
                reservation.close()
                continue
            return first, reservation
    raise AssertionError("no free ports")


def as_ordinary_user(folder: Path, function: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The function's JSON result, in a process that may not write what others own."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        if os.getuid() == 0:
            for path in (folder, *folder.rglob("*")):
                os.lchown(path, 65534, 65534)
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        os.write(writing, json.dumps(function()).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        text = answer.read()
    os.waitpid(pid, 0)
    outcome: dict[str, Any] = json.loads(text)
    return outcome


def write_release(home: Path, release: str, main: str, python: str) -> None:
    """A release of the stand-in with that src/main.py, current as agent_release leaves one."""
    folder = home / "releases" / release
    for package in (folder / "src", folder / "uvicorn", folder / "venv" / "bin"):
        package.mkdir(parents=True, exist_ok=True)
    (folder / "uvicorn" / "__main__.py").write_text(STAND_IN)
    (folder / "src" / "main.py").write_text(main)
    link = folder / "venv" / "bin" / "python"
    if not link.is_symlink():
        link.symlink_to(python)
    record = {"digest": main, "installed_at": time.time()}
    (folder / "release.json").write_text(json.dumps(record))
    link = home / "current.new"
    link.symlink_to(Path("releases", release))
    link.rename(home / "current")


class ProcessPlatform(OperatedPlatform):
    """One agent; `close` ends all that it started, by pid."""

    platform = "process"

    def __init__(self, folder: Path) -> None:
        self.home = folder / "agent"
        self.port, self._reservation = reserve_ports(5)
        self._pids: set[int] = set()

    def run(self, operation: Operation, check: bool = False, **arguments: Any) -> dict[str, Any]:
        outcome = super().run(operation, check, **arguments)
        self._pids.update(self.pids().values())
        return outcome

    def deploy(self, release: str, source: str = "", **behaviour: Any) -> None:
        """Make a release current, as agent_release would; behaviour in capitals."""
        settings = "".join(f"{name.upper()} = {value!r}\n" for name, value in behaviour.items())
        write_release(self.home, release, settings + source, sys.executable)

    # --- what a test looks at -----------------------------------------------------------------

    def names(self, count: int = 3) -> list[str]:
        return [f"cost-agent-{self.port + number}" for number in range(count)]

    def pid_file(self, name: str) -> Path:
        return self.home / "run" / f"{name}.pid"

    def pids(self) -> dict[str, int]:
        """Each replica's pid, from its pid file."""
        files = self.home.glob("run/*.pid") if (self.home / "run").is_dir() else []
        first_lines = {path.stem: path.read_text().partition("\n")[0] for path in files}
        return {name: int(line) for name, line in first_lines.items() if line.isdigit()}

    def ask(self, name: str) -> dict[str, Any]:
        """What a replica says about itself."""
        port = name.rpartition("-")[2]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/self", timeout=300) as answer:
            return dict(json.load(answer))

    def kill(self, name: str) -> None:
        """End a replica from outside, as the kernel's out-of-memory killer does."""
        pid = self.pids()[name]
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: not is_running(pid))

    def close(self) -> None:
        marker = f"COST_AGENT_REPLICA={self.home}:".encode()
        for pid in [int(name) for name in os.listdir("/proc") if name.isdigit()]:
            with contextlib.suppress(OSError):
                if marker in Path(f"/proc/{pid}/environ").read_bytes():
                    os.kill(pid, signal.SIGKILL)
        for pid in self._pids:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
        self._reservation.close()


def is_running(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
