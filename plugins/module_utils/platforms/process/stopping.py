# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The end of replicas: SIGTERM as the guide says, a grace, and SIGKILL for what is left."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...core.clock import Clock
from ...core.deadline import Deadline, backoff, poll
from ...core.errors import OperationError, Reason
from ...core.process_identity import ProcessIdentity
from ..protocol import Stop
from . import processes

# SIGKILL takes effect within milliseconds, unless the kernel itself hangs.
_KILL_TAKES_S = 2.0


@dataclass
class Ending:
    """One replica on its way down; `leader` is its first process as far as it is on record."""

    home: Path
    replica: str
    leader: ProcessIdentity | None
    asked: set[ProcessIdentity] = field(default_factory=set)
    was_running: bool = False
    was_killed: bool = False
    seconds: float | None = None

    def remaining(self) -> list[ProcessIdentity]:
        """The processes that are left of it."""
        alive = processes.family(self.leader) if self.leader else []
        return alive or processes.marked(self.home).get(self.replica, [])

    def ask(self, left: Sequence[ProcessIdentity]) -> None:
        """SIGTERM, once to each: uvicorn takes a second one as an order to drop its requests.

        Only the first process is asked while it lives, since it ends its workers itself.
        """
        for process in [self.leader] if self.leader in left and self.leader else left:
            if process not in self.asked:
                self.asked.add(process)
                self.was_running |= processes.send(process, signal.SIGTERM)

    def kill(self, left: Sequence[ProcessIdentity]) -> None:
        """SIGKILL to all that is left."""
        for process in left:
            self.was_killed |= processes.send(process, signal.SIGKILL)


def stop_all(
    endings: Sequence[Ending],
    grace_s: float,
    deadline: Deadline,
    clock: Clock,
    ended: Callable[[str], None],
) -> list[Stop]:
    """End all of them at once; `ended` is called for each as it has gone.

    Raises `timeout` when the deadline passes within the grace. Then nothing was killed: a
    replica that still finishes its requests goes on doing so.
    """
    begun = clock.monotonic()

    def all_gone(act: Callable[[Ending, Sequence[ProcessIdentity]], None]) -> bool | None:
        for ending in endings:
            if ending.seconds is not None:
                continue
            left = ending.remaining()
            if left:
                act(ending, left)
            else:
                ending.seconds = clock.monotonic() - begun
                ended(ending.replica)
        return all(ending.seconds is not None for ending in endings) or None

    grace = Deadline(clock, min(grace_s, deadline.remaining))
    if not poll(lambda: all_gone(Ending.ask), grace, clock, backoff(longest=0.25)):
        if grace.seconds < grace_s:
            raise _still_draining(endings, deadline, grace_s)
        kill = Deadline(clock, max(_KILL_TAKES_S, deadline.remaining))
        if not poll(lambda: all_gone(Ending.kill), kill, clock, backoff(longest=0.25)):
            raise _unkillable(endings)
    return [Stop(e.replica, e.was_running, e.was_killed, e.seconds or 0.0) for e in endings]


def _names(endings: Sequence[Ending]) -> str:
    return ", ".join(ending.replica for ending in endings if ending.seconds is None)


def _still_draining(
    endings: Sequence[Ending], deadline: Deadline, grace_s: float
) -> OperationError:
    return OperationError(
        Reason.TIMEOUT,
        f"stop {_names(endings)} within {deadline.seconds:g} s",
        f"SIGTERM was sent, and the grace of {grace_s:g} s had not passed yet",
        "Run this again, with a longer timeout_s or a shorter stop_grace_s",
    )


def _unkillable(endings: Sequence[Ending]) -> OperationError:
    return OperationError(
        Reason.TIMEOUT,
        f"stop {_names(endings)}",
        "SIGKILL did not end it, so the kernel holds it in an input or output that hangs",
        "Look for a hanging disk or network file system in the kernel's log",
    )
