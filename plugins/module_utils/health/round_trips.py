# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the direct probes of all kinds of server share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Callable

from ..core.clock import Clock
from ..core.deadline import Deadline
from ..core.errors import Reason
from .verdict import Finding, Verdict


class TooLate(Exception):
    """The deadline passed while a server was asked."""


@dataclass
class DirectProbe:
    """The round trips to one server; latencies in ms, without the connecting."""

    kind: str
    latencies_ms: list[float] = field(default_factory=list)
    connect_ms: float | None = None
    finding: Finding | None = None


@dataclass(frozen=True)
class Sampling:
    """How often to ask, and how long that may take altogether."""

    samples: int
    interval_s: float
    timeout_s: float
    deadline: Deadline
    clock: Clock

    def connect(self, probe: DirectProbe, connect: Callable[[], object]) -> None:
        """Time the connecting."""
        probe.connect_ms = self._timed(connect)

    def sample(self, probe: DirectProbe, round_trip: Callable[[], object]) -> None:
        """Time every round trip."""
        for number in range(self.samples):
            if number and self.interval_s:
                self.clock.sleep(self.interval_s)
            probe.latencies_ms.append(self._timed(round_trip))

    def _timed(self, work: Callable[[], object]) -> float:
        started = self.clock.monotonic()
        work()
        return (self.clock.monotonic() - started) * 1000


def too_late(probe: DirectProbe, timeout_s: float) -> Finding:
    """What a server's silence means: without a session nothing is known of it."""
    if probe.connect_ms is None:
        return Finding(
            Verdict.UNKNOWN,
            f"accepts no session within {timeout_s:g} s",
            "Check the address, and routes and firewalls between here and there",
            Reason.TIMEOUT,
        )
    if probe.latencies_ms:  # slow rather than silent; the latencies tell
        return Finding(Verdict.HEALTHY, "answers")
    return Finding(
        Verdict.DOWN,
        f"accepts the session but does not answer within {timeout_s:g} s",
        "Look at its log",
        Reason.TIMEOUT,
    )


def login_refused(what: str) -> Finding:
    """The server is there, and what it would tell a user is not known."""
    return Finding(Verdict.UNKNOWN, "refuses our login", f"Check {what}", Reason.AUTH)


def connection_refused() -> Finding:
    """Nobody listens."""
    return Finding(
        Verdict.DOWN, "refuses connections", "Check that it is started", Reason.UNREACHABLE
    )
