# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A program of PostgreSQL that runs under this process, with its workers, and never outlives it.

It leads a process group of its own in this session. When this process dies, however it dies, the
kernel sends the leader SIGTERM (PR_SET_PDEATHSIG), on which pg_dump and pg_restore end their
workers; and where members of the group are stopped, the group is then an orphaned one, to which
the kernel sends SIGHUP and SIGCONT (POSIX, _exit()).
"""

from __future__ import annotations

import contextlib
import glob
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from typing import IO, Any, cast

from ...core.cancellation import interruptible, signal_on_parent_death, uninterrupted

# The first error is at the beginning; a statement of ten thousand names may follow.
_HEAD_BYTES = _TAIL_BYTES = 8 * 1024
_TERM_GRACE_S = 3.0


@contextlib.contextmanager
def running(
    command: list[str], environment: dict[str, str], stdin: int = subprocess.DEVNULL
) -> Iterator[Child]:
    """A program, which is ended with the block; from the main thread, before any other thread."""
    child: Child | None = None
    try:
        with uninterrupted():
            child = Child(command, environment, stdin)
        yield child
    finally:
        if child is not None:
            child.end()


class Child:
    """A program that was started; `running` ends it."""

    def __init__(self, command: list[str], environment: dict[str, str], stdin: int) -> None:
        self.name = os.path.basename(command[0])
        self._process = subprocess.Popen(
            command,
            env=environment,
            stdin=stdin,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            preexec_fn=_be_a_bound_leader(os.getpid()),
        )
        self._head = self._tail = b""
        self._paused = False
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def stdin(self) -> IO[bytes]:
        """Of a program that was started with one."""
        return cast("IO[bytes]", self._process.stdin)

    def poll(self) -> int | None:
        """The exit code, negative for a signal, or None while it runs."""
        return self._process.poll()

    def wait(self, timeout_s: float | None = None) -> int:
        """The exit code; subprocess.TimeoutExpired when it still runs then."""
        return self._process.wait(timeout_s)

    def said(self) -> str:
        """What it wrote to its standard error, once it has ended; of much, beginning and end."""
        self._listener.join(_TERM_GRACE_S)
        return self.heard

    @property
    def heard(self) -> str:
        """The same while it runs, as far as it has come."""
        gap = b"\n...\n" if len(self._tail) == _TAIL_BYTES else b""
        return (self._head + gap + self._tail).decode(errors="replace").strip()

    def open_files(self) -> set[str]:
        """The paths of all files that it and its workers have open."""
        found = set()
        for folder in glob.glob("/proc/[0-9]*/fd"):
            with contextlib.suppress(OSError):  # it has ended, or is another user's
                if os.getpgid(int(folder.split("/")[2])) == self.pid:
                    for handle in os.scandir(folder):
                        with contextlib.suppress(OSError):
                            found.add(os.readlink(handle.path))
        return found

    def pause(self) -> None:
        """Stop it and its workers where they are."""
        if not self._paused:
            self._paused = True
            self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            self._signal(signal.SIGCONT)

    def end(self) -> None:
        """End it and its workers: TERM, on which they cancel their statements, then KILL."""
        if self.poll() is None:
            self._signal(signal.SIGTERM)
            self._signal(signal.SIGCONT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.wait(_TERM_GRACE_S)
        # Workers of a leader that was killed stay in its group.
        self._signal(signal.SIGKILL)
        self.wait()
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def _listen(self) -> None:
        stderr: Any = self._process.stderr
        with stderr:
            while data := stderr.read1(8192):
                room = _HEAD_BYTES - len(self._head)
                self._head += data[:room]
                self._tail = (self._tail + data[room:])[-_TAIL_BYTES:]


def _be_a_bound_leader(parent: int) -> Any:
    def prepare() -> None:
        os.setpgid(0, 0)
        signal_on_parent_death(signal.SIGTERM)
        if os.getppid() != parent:  # it died before the kernel was told
            os._exit(1)
        interruptible()

    return prepare
