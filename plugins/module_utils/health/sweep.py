# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All HTTP and TCP probes of a run, scheduled so that the observer measures nobody but the target.

Threads would queue for the interpreter and measure that queue: 64 of them see a p95 of 24 ms
where one sees 0.25 ms. Here few requests are under way at a time, so an answer never waits for
this process. A target that does not answer at once stops counting as one of the few, so slow and
dead ones hold nobody up. Targets take turns request by request, so that the dead ones time out
while the others are measured.
"""

from __future__ import annotations

import contextlib
import gc
import heapq
import resource
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..core.clock import Clock
from .conversation import Conversation, Request
from .curl_sender import CurlSender, Transport
from .exchange import TIMED_OUT, Exchange

WINDOW = 4
_PATIENCE_S = 0.010
_HURRIED_PATIENCE_S = 0.001  # poll(2) counts in ms
_HALF_MS = 0.0005
_GRACE_S = 1.0
_LONGEST_POLL_MS = 250
_SPARE_FILES = 128


class Sender(Protocol):
    """What sends requests; see `CurlSender`."""

    def send(self, token: Any, request: Request, timeout_s: float) -> None: ...

    def receive(self, wait_ms: int) -> tuple[int, list[tuple[Any, Exchange]]]: ...


def sweep(
    conversations: Sequence[Conversation], transport: Transport, pauses_s: float, clock: Clock
) -> None:
    """Hold all conversations; return when the last has ended or the time is up.

    The requests of each may take `transport.timeout_s` together; the sweep takes that, the
    `pauses_s` between samples, and at most one second more. A conversation that there was no
    time for receives nothing. Raises `missing_library` without pycurl.
    """
    with open_files(2 * len(conversations)) as at_once, no_collector():
        sender = CurlSender(transport, most_idle=at_once // 2)
        try:
            Schedule(conversations, sender, transport.timeout_s, at_once // 2, clock).run(pauses_s)
        finally:
            sender.close()


@contextlib.contextmanager
def no_collector() -> Iterator[None]:
    """Keep the collector of cycles from stopping the measurement: in a large process it takes 50 ms."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextlib.contextmanager
def open_files(wanted: int) -> Iterator[int]:
    """Allow `wanted` sockets where the system lets us; yields how many may be open."""
    before = soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + _SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    try:
        yield max(2, wanted if soft == resource.RLIM_INFINITY else min(wanted, soft - _SPARE_FILES))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@dataclass(eq=False)
class _Turn:
    """A conversation and its present request; `spent_s` is what its requests took so far."""

    conversation: Conversation
    request: Request
    spent_s: float = 0.0
    sent_at: float = 0.0
    in_window: bool = False


class Schedule:
    """Decides which request is sent when; knows nothing of HTTP.

    A request that is not answered within 10 ms leaves the window. Once an eighth of the timeout
    was lost in waiting for such ones, the patience is 1 ms: then 4,000 requests a second are sent
    even when nobody answers, or all are far away.
    """

    def __init__(
        self,
        conversations: Sequence[Conversation],
        sender: Sender,
        timeout_s: float,
        at_once: int,
        clock: Clock,
    ) -> None:
        self._sender = sender
        self._timeout_s = timeout_s
        self._at_once = at_once
        self._clock = clock
        self._queue: deque[_Turn] = deque()
        for conversation in conversations:
            request = conversation.next_request()
            if request is not None:
                self._queue.append(_Turn(conversation, request))
        self._patience_s = _PATIENCE_S
        self._lost_s = 0.0
        self._pausing: list[tuple[float, int, _Turn]] = []
        self._in_flight = 0
        self._window = 0  # those in flight that we expect an answer from right now
        self._watched: deque[tuple[float, _Turn]] = deque()

    def run(self, pauses_s: float) -> None:
        """Send and receive until all conversations have ended, or the time is up."""
        self._ends_at = self._clock.monotonic() + self._timeout_s + pauses_s + _GRACE_S
        self._fill(self._clock.monotonic())
        while self._in_flight or self._queue or self._pausing:
            ready, ended = self._sender.receive(self._wait_ms())
            for turn, exchange in ended:
                self._receive(turn, exchange)
            now = self._clock.monotonic()
            if now >= self._ends_at:
                return
            if ready <= WINDOW:  # more would mean that answers wait for us
                self._release_slow(now)
            self._resume(now)
            self._fill(now)

    def _wait_ms(self) -> int:
        wait_ms = _LONGEST_POLL_MS
        if self._window and self._queue:
            wait_ms = int(self._patience_s * 1000)
        if self._pausing:
            due_in_s = self._pausing[0][0] - self._clock.monotonic()
            wait_ms = min(wait_ms, max(0, int(due_in_s * 1000) + 1))
        return wait_ms

    def _receive(self, turn: _Turn, exchange: Exchange) -> None:
        now = self._clock.monotonic()
        self._in_flight -= 1
        self._leave_window(turn)
        if exchange.code == TIMED_OUT and turn.spent_s > self._timeout_s / 2:
            exchange = exchange._replace(cut_short=True)
        turn.spent_s += now - turn.sent_at
        turn.conversation.receive(exchange)
        request = turn.conversation.next_request()
        if request is None or turn.spent_s >= self._timeout_s - _HALF_MS:
            return
        turn.request = request
        if request.pause_s:
            heapq.heappush(self._pausing, (now + request.pause_s, id(turn), turn))
        else:
            self._queue.append(turn)

    def _resume(self, now: float) -> None:
        while self._pausing and self._pausing[0][0] <= now:
            self._queue.append(heapq.heappop(self._pausing)[2])

    def _fill(self, now: float) -> None:
        while self._queue and self._window < WINDOW and self._in_flight < self._at_once:
            self._send(self._queue.popleft(), now)

    def _send(self, turn: _Turn, now: float) -> None:
        turn.sent_at = now
        turn.in_window = True
        self._in_flight += 1
        self._window += 1
        self._watched.append((now, turn))
        self._sender.send(turn, turn.request, self._timeout_s - turn.spent_s)

    def _release_slow(self, now: float) -> None:
        while self._watched:
            sent_at, turn = self._watched[0]
            if turn.in_window and turn.sent_at == sent_at:
                if now - sent_at < self._patience_s - _HALF_MS:
                    return
                self._leave_window(turn)
                self._lost_s += self._patience_s / WINDOW
                if self._lost_s > self._timeout_s / 8:
                    self._patience_s = _HURRIED_PATIENCE_S
            self._watched.popleft()

    def _leave_window(self, turn: _Turn) -> None:
        if turn.in_window:
            turn.in_window = False
            self._window -= 1
