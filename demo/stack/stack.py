"""The three servers together: up, down, status, and stack.json."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from demo.stack.errors import StackError
from demo.stack.file_lock import exclusive
from demo.stack.ports import LOOPBACK
from demo.stack.postgres import Postgres
from demo.stack.private_files import write_private
from demo.stack.redis import Redis
from demo.stack.s3 import S3
from demo.stack.server import Server

COMPONENTS = ("postgres", "redis", "s3")
_SERVER_CLASSES: tuple[type[Server], ...] = (Postgres, Redis, S3)
_FOLDERS = ("log", "run", "secrets")
# Marks a folder as a stack's home, and keeps git away from what is in it.
_MARKER = ".gitignore"
_MARKER_TEXT = "# The home of demo/stack: `python demo/stack down --purge` removes it.\n*\n"
_T = TypeVar("_T")

Addresses = dict[str, dict[str, str | int]]
Report = Callable[[str], None]


@dataclass(frozen=True)
class Status:
    """What one component does now: `up`, `down`, or `silent` (runs, does not answer)."""

    component: str
    address: str
    pid: int | None
    state: str


def _ignore(_line: str) -> None:
    """The report of a caller that wants none."""


class Stack:
    """Real PostgreSQL, Redis and S3 with everything they keep in one folder."""

    def __init__(self, home: Path | str, report: Report = _ignore, *, host: str = LOOPBACK) -> None:
        """`report` receives one line of progress at a time.

        `host` is the address that the servers listen on; on any other than loopback they take
        whoever knows the password.
        """
        self.home = Path(home).absolute()
        self.file = self.home / "stack.json"
        self._report = report
        self._servers = [server_class(self.home, host) for server_class in _SERVER_CLASSES]

    def up(self, only: Sequence[str] | None = None) -> Addresses:
        """Start what does not run (all three, or those named in `only`).

        Returns the addresses, which are in stack.json too. Raises StackError;
        what could be started is then left running.
        """
        if not sys.platform.startswith("linux"):
            raise StackError(f"stack: needs Linux (it reads /proc), this is {sys.platform}")
        wanted = self._selected(only)
        self._make_home()
        with exclusive(self.home / "lock"):
            try:
                self._each(wanted, self._up)
            finally:
                addresses = self._write_addresses()
        return addresses

    def down(self, *, purge: bool = False) -> None:
        """Stop all servers and whatever an interrupted `up` left; with `purge` remove the data.

        Raises StackError when a process cannot be stopped.
        """
        if not self.home.is_dir():
            self._report(f"{self.home}: nothing there")
            return
        self._require_ours()
        with exclusive(self.home / "lock"):
            self._each(self._servers, self._down)
            self.file.unlink(missing_ok=True)
            if purge:
                self._purge()
        if purge and not any(self.home.iterdir()):
            self.home.rmdir()

    def status(self, only: Sequence[str] | None = None) -> list[Status]:
        """Ask every server now; changes nothing."""
        return [_status(server) for server in self._selected(only)]

    def _selected(self, only: Sequence[str] | None) -> list[Server]:
        unknown = sorted(set(only or ()) - set(COMPONENTS))
        if unknown:
            raise StackError(
                f"stack: unknown component {', '.join(unknown)}; there are {', '.join(COMPONENTS)}"
            )
        return [server for server in self._servers if not only or server.name in only]

    def _make_home(self) -> None:
        try:
            self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._require_ours()
            write_private(self.home / _MARKER, _MARKER_TEXT)
            for name in _FOLDERS:
                (self.home / name).mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise StackError(
                f"stack: wanted to write {self.home}, but: {error.strerror}; "
                "choose another folder with --home, or run as its owner"
            ) from error

    def _require_ours(self) -> None:
        """Neither fill nor purge a folder that is something else."""
        marker = self.home / _MARKER
        # A killed `up` may have left nothing but a marker half written.
        others = [path for path in self.home.iterdir() if not path.name.startswith(f".{_MARKER}.")]
        if others and not (marker.is_file() and marker.read_text() == _MARKER_TEXT):
            raise StackError(
                f"stack: wanted an empty folder or a stack's home, but {self.home} holds "
                "other things; choose another with --home"
            )

    def _each(self, servers: Sequence[Server], act: Callable[[Server], None]) -> None:
        """Do the same with all servers at once; raises all their errors as one."""
        with ThreadPoolExecutor(len(self._servers)) as pool:
            started = [pool.submit(act, server) for server in servers]
        errors = [error for future in started if (error := future.exception()) is not None]
        unexpected = [error for error in errors if not isinstance(error, StackError)]
        if unexpected:
            raise unexpected[0]
        if errors:
            raise StackError("\n".join(str(error) for error in errors))

    def _up(self, server: Server) -> None:
        started, seconds = _timed(server.up)
        word = f"started in {seconds:.1f} s" if started else "already up"
        self._report(f"{server.name:<10}{server.endpoint:<18}{word}")

    def _down(self, server: Server) -> None:
        stopped, seconds = _timed(server.down)
        word = f"stopped in {seconds:.1f} s" if stopped else "not running"
        self._report(f"{server.name:<10}{server.endpoint:<18}{word}")

    def _write_addresses(self) -> Addresses:
        addresses = {server.name: server.address() for server in self._servers if server.process()}
        write_private(self.file, json.dumps(addresses, indent=2) + "\n")
        return addresses

    def _purge(self) -> None:
        """Remove what we made and nothing else; the marker last, so that a purge can go on."""
        for server in self._servers:
            server.remove()
        for name in _FOLDERS:
            shutil.rmtree(self.home / name, ignore_errors=True)
        half_written = [*self.home.glob(".*.json.*"), *self.home.glob(f".{_MARKER}.*")]
        for path in (self.home / "lock", *half_written, self.home / _MARKER):
            path.unlink(missing_ok=True)
        self._report(f"{self.home}: data removed")


def _timed(action: Callable[[], _T]) -> tuple[_T, float]:
    start = time.monotonic()
    return action(), time.monotonic() - start


def _status(server: Server) -> Status:
    process = server.process()
    if process is None:
        return Status(server.name, server.endpoint, None, "down")
    return Status(server.name, server.endpoint, process.pid, "up" if server.answers() else "silent")
