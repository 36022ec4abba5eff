"""Processes told apart for certain: by pid, start time and boot, never by pid alone.

Linux only: reads /proc and signals through pidfds, so that a pid which was
given to somebody else in the meantime is never signalled.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from demo.stack.private_files import write_private

PROC = Path("/proc")

# Children of this process stay referenced here until they end, so that they
# are reaped and a zombie is never mistaken for a running server.
_children: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True)
class StopStep:
    """One signal, and how long in seconds to wait for the process to end after it."""

    signal: signal.Signals
    wait_s: float


@dataclass(frozen=True)
class Identity:
    """A process for certain: a reused pid has another start time, a reboot another boot id."""

    pid: int
    start_ticks: int
    boot_id: str

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """Identity of the process that has `pid` now; None when there is none or it has ended."""
        child = _children.get(pid)
        if child is not None and child.poll() is not None:
            del _children[pid]
        try:
            stat = (PROC / str(pid) / "stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return None
        # The command name in parentheses may itself hold spaces and parentheses.
        fields = stat.rpartition(")")[2].split()
        state, start_ticks = fields[0], int(fields[19])
        return None if state in "ZX" else cls(pid, start_ticks, boot_id())

    def is_running(self) -> bool:
        return Identity.of(self.pid) == self

    def stop(self, steps: Sequence[StopStep]) -> bool:
        """Send each signal in turn until the process has ended; True when it has."""
        with self._pidfd() as pidfd:
            if pidfd is None:
                return True
            ended = select.poll()
            ended.register(pidfd, select.POLLIN)
            for step in steps:
                try:
                    signal.pidfd_send_signal(pidfd, step.signal)
                    # A process that was suspended handles the signal only once it continues.
                    signal.pidfd_send_signal(pidfd, signal.SIGCONT)
                except ProcessLookupError:
                    return True
                if ended.poll(step.wait_s * 1000):
                    return True
        return not self.is_running()

    @contextmanager
    def _pidfd(self) -> Iterator[int | None]:
        """A handle on exactly this process; None when it has ended.

        Compared after opening: from then on the handle cannot come to mean another process.
        """
        try:
            pidfd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            yield None
            return
        try:
            yield pidfd if self.is_running() else None
        finally:
            os.close(pidfd)


def boot_id() -> str:
    """What tells this boot of the machine from every other."""
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


def launch(
    command: Sequence[str],
    *,
    folder: Path,
    log: Path,
    environment: dict[str, str],
    user: int | None = None,
    group: int | None = None,
) -> Identity:
    """Start `command` in `folder`, in a session of its own, its output appended to `log`.

    Raises OSError when the program cannot be executed.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=user,
            group=group,
            extra_groups=None if user is None else [],
        )
    _children[process.pid] = process
    # An unreaped child keeps its /proc entry, so the start time can be read even if it died.
    stat = (PROC / str(process.pid) / "stat").read_text()
    return Identity(process.pid, int(stat.rpartition(")")[2].split()[19]), boot_id())


def found_in(folder: Path, programs: Iterable[str]) -> list[Identity]:
    """Running processes of these programs (file names) whose working folder is in `folder`.

    Finds what no record names: a server whose starter was killed before it
    wrote the record, and the children of a killed server. A shell or an editor
    that stands in the folder is not touched, its program being another.
    """
    wanted = frozenset(programs)
    found = []
    for entry in PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            program = os.readlink(entry / "exe").removesuffix(" (deleted)")
            working = Path(os.readlink(entry / "cwd").removesuffix(" (deleted)"))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # ended meanwhile, or another user's
        if os.path.basename(program) in wanted and working.is_relative_to(folder):
            identity = Identity.of(int(entry.name))
            if identity is not None:
                found.append(identity)
    return found


def read_record(path: Path) -> Identity | None:
    """The recorded process, if it is still running; None for no, broken or stale record."""
    try:
        identity = Identity(**json.loads(path.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return identity if identity.is_running() else None


def write_record(path: Path, identity: Identity) -> None:
    write_private(path, json.dumps(asdict(identity)))
