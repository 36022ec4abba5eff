# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What long work does all the time: keep its lock, mind its deadline, say how far it is."""

from __future__ import annotations

from .context import Context
from .deadline import Deadline
from .errors import OperationError, Reason
from .lock import Lease

_MB = 1e6


class Watch:
    """Calls that the loops of a backup or restore make every few milliseconds; both may raise."""

    def __init__(
        self, what: str, timeout_s: float, lease: Lease, context: Context, phase: str = "load"
    ) -> None:
        """`what` is such as "restore of cost_agent"; `phase` what comes first."""
        self.deadline = Deadline(context.clock, timeout_s)
        self._what = what
        self._lease = lease
        self._progress = context.progress
        self._phase = phase

    def enter(self, phase: str) -> None:
        """Name what comes now, such as "count"."""
        self._phase = phase

    def tick(self) -> None:
        """Raises `timeout`, and `locked` when the lock was lost."""
        if self.deadline.expired:
            raise OperationError(
                Reason.TIMEOUT,
                f"finish the {self._what} within {self.deadline.seconds:g} s",
                f"it was at: {self._phase}",
                "Raise timeout_s, or see whether the repository or the server is slow",
                state={"phase": self._phase},
            )
        self._lease.keep()
        self._progress.update(f"{self._what}: {self._phase}")

    def moving(self, done: int, total: int) -> None:
        """As `tick`, with the bytes of the dump that have passed."""
        elapsed = self.deadline.elapsed
        rate = done / _MB / elapsed if elapsed else 0.0
        self._progress.update(
            f"{self._what}, {rate:.0f} MB/s: MB", round(done / _MB), round(total / _MB)
        )
        self.tick()
