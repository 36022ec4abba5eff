# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Time, passed in, so that waits can be tested without waiting."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What an operation may ask of time."""

    def monotonic(self) -> float:
        """Seconds that never run backwards; for durations and deadlines."""

    def now(self) -> float:
        """Seconds since the Unix epoch; for records that outlive the process."""

    def sleep(self, seconds: float) -> None:
        """Pause this thread."""


class SystemClock:
    """The machine's clock."""

    def monotonic(self) -> float:
        return time.monotonic()

    def now(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)
