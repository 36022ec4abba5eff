# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An open load: requests on a fixed schedule, whatever the answers do.

A client that waits for each answer sends fewer requests while the agent stalls, and so leaves out
of its figures the very requests that the stall would have hit: "coordinated omission", as Gil
Tene named it (How NOT to Measure Latency, 2013; the README of his wrk2 has the remedy that is
taken here). Requests are therefore due at a constant rate, and a latency runs from when its
request was due, not from when it could be sent.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Callable

from ...core.clock import Clock
from ...core.progress import Progress
from ...health import OK, TIMED_OUT, Exchange, Request, Sender, judge
from .figures import Outcome
from .plan import LoadPlan

MOST_AT_A_TIME = 200
_JUDGED = 50
_JUDGED_AT_LEAST = 20
_LOOK_EVERY_S = 0.25
_LONGEST_POLL_MS = 250
_GRACE_S = 1.0
_LOOK = object()


@dataclass
class LoadSeen:
    """What came of a load; times in seconds since it began.

    `sent_late_s` is the most by which a request was noticed late to be due: our lateness, not the
    agent's. `cut_short` is why it was ended early.
    """

    outcomes: list[Outcome] = field(default_factory=list)
    ended_s: float = 0.0
    sent_late_s: float = 0.0
    cut_short: str = ""
    first_failure: Exchange | None = None
    most_connections_in_use: int | None = None


class OpenLoad:
    """Decides which request is sent when; knows nothing of HTTP.

    At most `at_a_time` requests are under way. Those that are due meanwhile wait for a place,
    which counts as latency, and fail when they have waited for the whole timeout. So the load
    stays bounded on an agent that hangs, and its figures true.

    Once at least 20 requests have ended and `abort_at_failed_percent` of the last 50 of them failed,
    no more are sent.
    """

    def __init__(
        self,
        plan: LoadPlan,
        sender: Sender,
        at_a_time: int,
        clock: Clock,
        progress: Progress,
        in_use: Callable[[bytes], int | None],
    ) -> None:
        """`in_use` reads the connections in use from the agent's detailed health."""
        self._plan = plan
        self._sender = sender
        self._at_a_time = at_a_time
        self._clock = clock
        self._progress = progress
        self._in_use = in_use
        self._requests = [Request(url + plan.path) for url in plan.urls]
        self._looks = [Request(url + plan.detailed_path) for url in plan.urls]
        self._next = 0
        self._last = plan.requests
        self._waiting: deque[int] = deque()
        self._in_flight = 0
        self._looks_sent = 0
        self._is_looking = False
        self._recent: deque[bool] = deque(maxlen=_JUDGED)
        self._seen = LoadSeen()

    def run(self) -> LoadSeen:
        """Send everything that is due, and wait for the last answer or its timeout."""
        self._began = self._clock.monotonic()
        ends_at = (self._last - 1) / self._plan.rate + self._plan.timeout_s + _GRACE_S
        now = 0.0
        while (self._next < self._last or self._waiting or self._in_flight) and now < ends_at:
            self._take_due(now)
            self._look(now)
            self._send(now)
            _ready, ended = self._sender.receive(self._wait_ms())
            now = self._clock.monotonic() - self._began
            for token, exchange in ended:
                self._receive(token, exchange, now)
            self._progress.update("load", len(self._seen.outcomes), self._plan.requests)
        unended = self._next - len(self._seen.outcomes)
        if unended and not self._seen.cut_short:
            self._seen.cut_short = f"this machine was too busy to see the end of {unended} requests"
        return self._seen

    def _due(self, number: int) -> float:
        return number / self._plan.rate

    def _take_due(self, now: float) -> None:
        while self._next < self._last and self._due(self._next) <= now:
            late_s = now - self._due(self._next)
            self._seen.sent_late_s = max(self._seen.sent_late_s, late_s)
            self._waiting.append(self._next)
            self._next += 1

    def _send(self, now: float) -> None:
        timeout_s = self._plan.timeout_s
        while self._waiting:
            number = self._waiting[0]
            left_s = timeout_s - (now - self._due(number))
            if left_s <= 0:
                self._waiting.popleft()
                self._fail(
                    number, f"not sent within {timeout_s:g} s, {self._at_a_time} waited", now
                )
            elif self._in_flight < self._at_a_time:
                self._waiting.popleft()
                self._in_flight += 1
                self._sender.send(number, self._requests[number % len(self._requests)], left_s)
            else:
                return

    def _wait_ms(self) -> int:
        """Until the next request is due, less what poll(2) cannot count; that is spent asking."""
        if self._next >= self._last:
            return _LONGEST_POLL_MS
        due_in_s = self._due(self._next) - (self._clock.monotonic() - self._began)
        return min(_LONGEST_POLL_MS, max(0, int(due_in_s * 1000)))

    def _receive(self, token: object, exchange: Exchange, now: float) -> None:
        if not isinstance(token, int):
            self._is_looking = False
            self._keep_in_use(exchange)
            return
        self._in_flight -= 1
        if exchange.code == OK and 200 <= exchange.http_status < 300:
            self._keep(Outcome(token, (now - self._due(token)) * 1000), now)
            return
        if self._seen.first_failure is None:
            self._seen.first_failure = exchange
        self._fail(token, failure_text(exchange, self._plan.timeout_s), now)

    def _fail(self, number: int, failure: str, now: float) -> None:
        self._keep(Outcome(number, None, failure), now)

    def _keep(self, outcome: Outcome, now: float) -> None:
        self._seen.outcomes.append(outcome)
        self._seen.ended_s = now
        self._recent.append(outcome.latency_ms is None)
        failed = sum(self._recent)
        if self._seen.cut_short or len(self._recent) < _JUDGED_AT_LEAST:
            return
        if failed * 100 >= self._plan.abort_at_failed_percent * len(self._recent):
            self._seen.cut_short = (
                f"{failed} of the last {len(self._recent)} requests failed after {now:.1f} s: "
                f"{most_frequent(each.failure for each in self._seen.outcomes)}"
            )
            self._last = self._next
            self._waiting.clear()

    def _look(self, now: float) -> None:
        """Ask one replica after the other how much of its pool is in use, four times a second."""
        if self._is_looking or self._next >= self._last or now < self._looks_sent * _LOOK_EVERY_S:
            return
        self._is_looking = True
        request = self._looks[self._looks_sent % len(self._looks)]
        self._looks_sent += 1
        self._sender.send(_LOOK, request, self._plan.timeout_s)

    def _keep_in_use(self, exchange: Exchange) -> None:
        found = self._in_use(exchange.body) if exchange.code == OK else None
        if found is not None:
            most = self._seen.most_connections_in_use
            self._seen.most_connections_in_use = found if most is None else max(most, found)


def failure_text(exchange: Exchange, timeout_s: float) -> str:
    """Why a request failed, in words that group the failures of one kind."""
    if exchange.code == OK:
        return f"HTTP {exchange.http_status}"
    if exchange.code == TIMED_OUT:
        return f"no answer within {timeout_s:g} s"
    return judge(exchange).finding.said


def most_frequent(failures: Iterable[str]) -> str:
    """The failure that there is most of; outcomes without one have an empty text."""
    [(failure, _count)] = Counter(filter(None, failures)).most_common(1) or [("", 0)]
    return failure
