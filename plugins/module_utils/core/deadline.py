# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One deadline for a whole wait, and the pauses between its looks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Callable, TypeVar

from .clock import Clock

T = TypeVar("T")


class Deadline:
    """A point in time shared by all parts of an operation."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._started = clock.monotonic()
        self.seconds = seconds

    @property
    def elapsed(self) -> float:
        """Seconds since the deadline was set."""
        return self._clock.monotonic() - self._started

    @property
    def remaining(self) -> float:
        """Seconds left, never below 0."""
        return max(0.0, self.seconds - self.elapsed)

    @property
    def expired(self) -> bool:
        return self.remaining <= 0


def backoff(first: float = 0.02, factor: float = 1.5, longest: float = 1.0) -> Iterator[float]:
    """Endless pauses in seconds, growing by `factor` up to `longest`."""
    pause = first
    while True:
        yield min(pause, longest)
        pause = min(pause * factor, longest)


def cut_short(
    pauses: Iterator[float], left_s: Callable[[], float | None], shortest: float = 0.02
) -> Iterator[float]:
    """These pauses, none longer than what `left_s` says is left; None is no limit.

    So that a state that has to hold for some time is looked at when that has just passed.
    """
    for pause in pauses:
        left = left_s()
        yield pause if left is None else min(pause, max(left, shortest))


def poll(
    look: Callable[[], T | None],
    deadline: Deadline,
    clock: Clock,
    pauses: Iterator[float] | None = None,
) -> T | None:
    """The first value of `look` that is not None, or None when the deadline passes.

    `look` is called at least once and once more at the deadline. It ends a wait that cannot
    succeed by raising.
    """
    for pause in pauses or backoff():
        last_look = deadline.expired
        value = look()
        if value is not None or last_look:
            return value
        clock.sleep(min(pause, deadline.remaining))
    return None
