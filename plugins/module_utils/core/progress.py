# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far long work is, in lines that come often enough and no oftener."""

from __future__ import annotations

from typing import Callable

from .clock import Clock

TERMINAL_PERIOD_S = 2.0
LOG_PERIOD_S = 10.0


class Progress:
    """Emits a line at most once per period; the first only after one period has passed."""

    def __init__(
        self, emit: Callable[[str], None], clock: Clock, period_s: float = LOG_PERIOD_S
    ) -> None:
        self._emit = emit
        self._clock = clock
        self._period_s = period_s
        self._started = self._last = clock.monotonic()

    def update(self, what: str, done: float = 0, total: float | None = None) -> None:
        """Say that `done` of `total` is reached; with a total also the time left."""
        now = self._clock.monotonic()
        if now - self._last < self._period_s:
            return
        self._last = now
        self._emit(what + self._position(done, total, now - self._started))

    @staticmethod
    def _position(done: float, total: float | None, elapsed: float) -> str:
        if not total:
            return f", {elapsed:.0f} s"
        text = f", {done:g} of {total:g}, {elapsed:.0f} s"
        if done > 0:
            text += f", about {elapsed * (total - done) / done:.0f} s left"
        return text


def silent(line: str) -> None:
    """An emitter for operations that nobody watches."""
