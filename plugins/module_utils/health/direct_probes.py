# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Round trips to the database and the cache themselves, not by way of the agent."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any, Callable

from ..core.clock import Clock
from ..core.deadline import Deadline
from ..core.errors import OperationError, Reason
from ..redis import CacheServer
from .plan import DatabaseServer
from .postgres_probe import ask_database
from .redis_probe import ask_cache
from .report_body import CACHE, DATABASE
from .round_trips import DirectProbe, Sampling, too_late

_GRACE_S = 0.5

_Ask = Callable[..., None]


class DirectProbes:
    """Asks each server in a thread of its own, which may be left behind when it hangs.

    Creating it imports the libraries, in the calling thread: `missing_library` without them.
    """

    def __init__(self, database: DatabaseServer | None, cache: CacheServer | None) -> None:
        self._threads: list[threading.Thread] = []
        self._probes: list[tuple[DirectProbe, _Ask]] = []
        self._defects: list[Exception] = []
        if database:
            psycopg2 = _library("psycopg2", "probe the database")
            asking = partial(ask_database, server=database, psycopg2=psycopg2)
            self._probes.append((DirectProbe(DATABASE), asking))
        if cache:
            redis = _library("redis", "probe the cache")
            asking = partial(ask_cache, server=cache, redis=redis)
            self._probes.append((DirectProbe(CACHE), asking))

    def start(
        self,
        samples: int,
        interval_s: float,
        timeout_s: float,
        clock: Clock,
        head_start_s: float,
    ) -> None:
        """Begin, and wait up to `head_start_s`: quick servers are then measured undisturbed."""
        deadline = Deadline(clock, timeout_s + interval_s * (samples - 1))
        self._clock = clock
        self._sampling = Sampling(samples, interval_s, timeout_s, deadline, clock)
        for probe, ask in self._probes:
            thread = threading.Thread(target=self._ask, args=(probe, ask), daemon=True)
            thread.start()
            self._threads.append(thread)
        self._join(head_start_s)

    def finish(self) -> list[DirectProbe]:
        """What was learnt by the deadline."""
        self._join(self._sampling.deadline.remaining + _GRACE_S)
        if self._defects:
            raise self._defects[0]
        for probe, _ask in self._probes:
            if probe.finding is None:
                probe.finding = too_late(probe, self._sampling.timeout_s)
        return [probe for probe, _ask in self._probes]

    def _ask(self, probe: DirectProbe, ask: _Ask) -> None:
        try:
            ask(probe, sampling=self._sampling)
        except Exception as defect:  # a thread's end of the boundary in core.operation
            self._defects.append(defect)

    def _join(self, seconds: float) -> None:
        deadline = Deadline(self._clock, seconds)
        for thread in self._threads:
            thread.join(deadline.remaining)


def _library(name: str, wanted: str) -> Any:
    try:
        if name == "psycopg2":
            import psycopg2
            import psycopg2.extensions

            return psycopg2
        import redis
        import redis.backoff
        import redis.retry

        return redis
    except ImportError as error:
        raise OperationError(
            Reason.MISSING_LIBRARY,
            wanted,
            f"the Python library {name} is not installed for this interpreter",
            f"Install {name} where this runs",
        ) from error
