# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that must end: by the deadline, with the run that started them, and with status 0."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ...core.cancellation import interruptible, signal_on_parent_death, uninterrupted
from ...core.context import Context
from ...core.deadline import Deadline, backoff, poll
from ...core.errors import OperationError, Reason

_TAIL_BYTES = 8192
_TAIL_LINES = 20
_DISK_FULL = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT))


@dataclass(frozen=True)
class Programs:
    """Runs programs one after another for one purpose.

    `wanted` continues "Failed to ..."; `refusal` and `next_step` are why and what next when a
    program says no.
    """

    wanted: str
    next_step: str
    folder: Path
    environment: dict[str, str]
    deadline: Deadline
    context: Context
    refusal: Reason = Reason.FAILED_STATE

    def run(self, arguments: list[str]) -> None:
        """Run to the end.

        Raises `timeout`, `precondition` when the disk is full, otherwise `refusal`; each with
        the last lines of what was printed as `log_tail`.
        """
        name = Path(arguments[0]).name
        with tempfile.TemporaryFile() as output:
            code = self._run(arguments, output)
            if code == 0:
                return
            tail = _tail(output)
        if code is None:
            raise self._failure(
                Reason.TIMEOUT,
                f"{name} had not ended after {self.deadline.seconds:.0f} s and was killed",
                "See log_tail for what it waited for, or raise timeout_s",
                tail,
            )
        if any(text in "\n".join(tail) for text in _DISK_FULL):
            raise self._failure(
                Reason.PRECONDITION,
                f"{name} found no space left on the device",
                f"Free space where {self.folder} and {tempfile.gettempdir()} are",
                tail,
            )
        last = tail[-1].strip().rstrip(".") if tail else "it printed nothing"
        raise self._failure(self.refusal, f"{name} ended with {code}: {last}", self.next_step, tail)

    def _run(self, arguments: list[str], output: IO[bytes]) -> int | None:
        process: subprocess.Popen[bytes] | None = None
        try:
            with uninterrupted():
                process = started = subprocess.Popen(
                    arguments,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd=self.folder,
                    env=self.environment,
                    start_new_session=True,
                    preexec_fn=_end_with_parent,
                )

            def look() -> int | None:
                self.context.progress.update(f"{self.wanted}: {Path(arguments[0]).name} is running")
                return started.poll()

            return poll(look, self.deadline, self.context.clock, backoff(longest=0.1))
        finally:
            if process is not None and process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def _failure(
        self, reason: Reason, seen: str, next_step: str, tail: list[str]
    ) -> OperationError:
        return OperationError(reason, self.wanted, seen, next_step, state={}, log_tail=tail)


def _tail(output: IO[bytes]) -> list[str]:
    output.seek(max(0, output.seek(0, os.SEEK_END) - _TAIL_BYTES))
    lines = output.read().decode("utf-8", "replace").splitlines()
    return [line.rstrip() for line in lines if line.strip()][-_TAIL_LINES:]


def _end_with_parent() -> None:
    """In the child: a killed run leaves no installer writing behind the next run's back."""
    signal_on_parent_death(signal.SIGKILL)
    interruptible()
