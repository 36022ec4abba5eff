# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The end of services: systemd sends SIGTERM, waits for the grace, and kills what is left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...core.clock import Clock
from ...core.deadline import Deadline, backoff, poll
from ...core.errors import OperationError, Reason
from ..protocol import Stop
from . import systemctl
from .instance import Instance
from .systemctl import Unit

# After its grace systemd takes a moment to kill and to reap.
_KILL_TAKES_S = 5.0


@dataclass
class Ending:
    """One replica on its way down; `before` is its service as it was.

    One that `keeps_socket` has ended also when its socket has started it again already.
    """

    instance: Instance
    before: Unit
    keeps_socket: bool
    seconds: float | None = None
    was_killed: bool = False

    @property
    def units(self) -> list[str]:
        """What to stop."""
        names = [self.instance.service]
        return names if self.keeps_socket else [*names, self.instance.socket]

    def has_ended(self, units: dict[str, Unit]) -> bool:
        service = units[self.instance.service]
        if self.keeps_socket and service.is_running:
            return service.main_pid != self.before.main_pid
        if self.keeps_socket and not self.before.is_running and not service.is_at_rest:
            return service.sub_state != "auto-restart"
        return all(units[name].is_at_rest for name in self.units)


def stop_all(
    endings: Sequence[Ending], grace_s: float, deadline: Deadline, clock: Clock
) -> list[Stop]:
    """End all of them at once. The grace is the units' own already.

    Raises `timeout` when the deadline passes first. systemd goes on with what it was asked.
    """
    wanted = f"stop {', '.join(ending.instance.service for ending in endings)}"
    begun = clock.monotonic()
    names = [name for ending in endings for name in ending.units]
    refusal = systemctl.attempt(["stop", "--no-block", "--", *names], wanted)
    if refusal and not all(unit.is_at_rest for unit in systemctl.show(names, wanted).values()):
        raise OperationError(
            Reason.FAILED_STATE, wanted, f"systemd refuses: {refusal}", "See systemctl status"
        )

    def all_gone() -> bool | None:
        units = systemctl.show(names, wanted)
        for ending in endings:
            if ending.seconds is None and ending.has_ended(units):
                ending.seconds = clock.monotonic() - begun
                service = units[ending.instance.service]
                # A service that its socket started again shows no result of its end.
                ending.was_killed = ending.before.is_running and (
                    service.result == "timeout" or ending.seconds >= grace_s > 0
                )
        return all(ending.seconds is not None for ending in endings) or None

    limit = Deadline(clock, min(deadline.remaining, grace_s + _KILL_TAKES_S))
    if not poll(all_gone, limit, clock, backoff(first=0.01, longest=0.25)):
        raise _still_there(wanted, grace_s, deadline)
    return [
        Stop(e.instance.service, e.before.is_running, e.was_killed, e.seconds or 0.0)
        for e in endings
    ]


def _still_there(wanted: str, grace_s: float, deadline: Deadline) -> OperationError:
    if deadline.expired:
        return OperationError(
            Reason.TIMEOUT,
            f"{wanted} within {deadline.seconds:g} s",
            f"SIGTERM was sent, and the grace of {grace_s:g} s had not passed yet",
            "Run this again, with a longer timeout_s or a shorter stop_grace_s",
        )
    return OperationError(
        Reason.TIMEOUT,
        wanted,
        "SIGKILL did not end it, so the kernel holds it in an input or output that hangs",
        "Look for a hanging disk or network file system in the kernel's log",
    )
