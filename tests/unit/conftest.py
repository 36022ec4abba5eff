# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A clock that a test moves: sleeping takes no time."""

from __future__ import annotations

import pytest


class FakeClock:
    """Starts at 0 for durations and at 1,000 for the time of day."""

    def __init__(self) -> None:
        self._elapsed = 0.0

    def monotonic(self) -> float:
        return self._elapsed

    def now(self) -> float:
        return 1000.0 + self._elapsed

    def sleep(self, seconds: float) -> None:
        self._elapsed += seconds


@pytest.fixture
def fake_clock() -> FakeClock:
    return FakeClock()
