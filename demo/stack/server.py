"""What every server of the stack has in common: start, readiness, stop, records."""

from __future__ import annotations

import os
import shutil
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from demo.stack.errors import StackError
from demo.stack.ports import LOOPBACK, PortBook, is_free
from demo.stack.processes import (
    Identity,
    StopStep,
    found_in,
    launch,
    read_record,
    write_record,
)

START_TIMEOUT_S = 300.0  # a busy machine is slow; a server that ends is told at once
LOG_LIMIT_BYTES = 5 * 1024 * 1024
_POLL_S = 0.02
_LEFTOVER_STEPS = (StopStep(signal.SIGQUIT, 2.0), StopStep(signal.SIGKILL, 60.0))


class Server(ABC):
    """One server process with a folder, a log, a record of its process, and ports of its own."""

    name: ClassVar[str]
    programs: ClassVar[frozenset[str]]
    """File names of the programs that may be left running in the server's folder."""
    port_names: ClassVar[tuple[str, ...]]
    main_port: ClassVar[str]
    kept_ports: ClassVar[tuple[str, ...]]
    stop_steps: ClassVar[tuple[StopStep, ...]]
    start_timeout_s: ClassVar[float] = START_TIMEOUT_S
    user: int | None = None
    group: int | None = None

    def __init__(self, home: Path, host: str = LOOPBACK) -> None:
        """`host` is the address to listen on."""
        self.home = home
        self.host = host
        self.folder = home / self.name
        self.secrets = home / "secrets"
        self.log = home / "log" / f"{self.name}.log"
        self._record = home / "run" / f"{self.name}.json"
        self._ports = PortBook(
            home / "run" / f"{self.name}.ports.json", self.port_names, self.kept_ports, host
        )

    @abstractmethod
    def prepare(self) -> None:
        """Make folder and first data if missing. Raises StackError."""

    @abstractmethod
    def configure(self, ports: dict[str, int]) -> Sequence[str]:
        """Write the configuration for these ports; return the command that starts the server."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether the server does its work now; changes nothing, takes at most about 2 s."""

    @abstractmethod
    def address(self) -> dict[str, str | int]:
        """How to reach it: the server's entry in stack.json."""

    def become_ready(self) -> bool:
        """Like `answers`, but may do what is missing for the first use."""
        return self.answers()

    @abstractmethod
    def clean_up(self) -> None:
        """Remove what a killed server leaves behind. Called only when no process is left."""

    @property
    def ports(self) -> dict[str, int]:
        return self._ports.current()

    @property
    def endpoint(self) -> str:
        """host:port for people, `-` before the first start."""
        return f"{self.host}:{self.ports[self.main_port]}" if self.ports else "-"

    def process(self) -> Identity | None:
        """The recorded process if it is running."""
        return read_record(self._record)

    def up(self) -> bool:
        """Start the server unless it runs and answers; True when it was started now.

        Raises StackError when it cannot be started, with the end of its log.
        """
        if self.process() is not None and self.answers():
            return False
        self.down()
        self.prepare()
        deadline = time.monotonic() + self.start_timeout_s
        while not self._start(deadline):
            pass
        return True

    def _start(self, deadline: float) -> bool:
        """One start; False when another process took one of the ports in between."""
        ports = self._ports.choose()
        command = self.configure(ports)
        self._rotate_log()
        try:
            identity = launch(
                command,
                folder=self.folder,
                log=self.log,
                environment=self.environment(),
                user=self.user,
                group=self.group,
            )
        except OSError as error:
            raise StackError(f"{self.name}: cannot execute {command[0]}: {error}") from error
        write_record(self._record, identity)
        while not self.become_ready():
            if not identity.is_running():
                if time.monotonic() < deadline and not all(
                    is_free(port, self.host) for port in ports.values()
                ):
                    return False
                raise StackError(self._start_failure("ended while starting"))
            if time.monotonic() > deadline:
                raise StackError(
                    self._start_failure(f"not ready after {self.start_timeout_s:.0f} s")
                )
            time.sleep(_POLL_S)
        return True

    def environment(self) -> dict[str, str]:
        """A small fixed environment: settings of the caller's shell must not reach a server."""
        return {"PATH": os.defpath, "HOME": str(self.folder), "LC_ALL": "C", "TZ": "UTC"}

    def down(self) -> bool:
        """Stop the server and whatever is left of it; True when something was stopped.

        Raises StackError when a process does not end even after SIGKILL.
        """
        recorded = self.process()
        ended = recorded.stop(self.stop_steps) if recorded else True
        leftovers = found_in(self.folder.resolve(), self.programs)
        outcomes = [identity.stop(_LEFTOVER_STEPS) for identity in leftovers]
        if not (ended and all(outcomes)):
            raise StackError(
                f"{self.name}: a process in {self.folder} does not end after SIGKILL; "
                "look at it with ps, it probably waits for a disk"
            )
        self.clean_up()
        self._record.unlink(missing_ok=True)
        return bool(recorded or leftovers)

    def remove(self) -> None:
        """Remove the server's data."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _rotate_log(self) -> None:
        if self.log.exists() and self.log.stat().st_size > LOG_LIMIT_BYTES:
            os.replace(self.log, self.log.with_suffix(".log.1"))

    def _start_failure(self, seen: str) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-12:]
        tail = "\n".join(f"    {line[:76]}" for line in lines)
        return f"{self.name}: {seen}. The end of {self.log}:\n{tail}"
