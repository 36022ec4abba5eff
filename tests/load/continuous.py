# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Continuous requests against a replica or a database, and when which of them failed."""

from __future__ import annotations

import threading
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.waiting import LIMIT_S


@dataclass(frozen=True)
class Request:
    """One request; times in seconds since the epoch, `error` empty when it was answered."""

    began: float
    ended: float
    error: str


@dataclass
class Load:
    """Threads that each send one request after the other, as a context manager.

    `senders` are made into one thread each; a sender raises where its request fails.
    """

    senders: list[Callable[[], Any]]
    pause_s: float = 0.002
    requests: list[Request] = field(default_factory=list)

    def __enter__(self) -> Load:
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._send, args=[each]) for each in self.senders]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), "a request never ended"

    def _send(self, send: Callable[[], Any]) -> None:
        while not self._stopping.is_set():
            began, error = time.time(), ""
            try:
                send()
            except Exception as exception:
                error = f"{type(exception).__name__}: {exception}"
            self.requests.append(Request(began, time.time(), error))
            time.sleep(self.pause_s)

    def wait_for(self, count: int, limit_s: float = LIMIT_S) -> None:
        """Until that many more requests were answered."""
        wanted = len(self.answered) + count
        end = time.monotonic() + limit_s
        while len(self.answered) < wanted:
            assert time.monotonic() < end, f"no answers: {self.failed[-3:]}"
            time.sleep(0.01)

    @property
    def answered(self) -> list[Request]:
        return [each for each in self.requests if not each.error]

    @property
    def failed(self) -> list[Request]:
        return [each for each in self.requests if each.error]

    def failed_outside(self, down_from: float, down_until: float) -> list[Request]:
        """Failures of requests that were over before the downtime, or began after it."""
        return [each for each in self.failed if each.ended < down_from or each.began > down_until]


def http_sender(url: str, timeout_s: float = 30.0) -> Callable[[], bytes]:
    """GET a URL; an answer that is not 2xx is a failure."""

    def send() -> bytes:
        with urllib.request.urlopen(url, timeout=timeout_s) as answer:
            return bytes(answer.read())

    return send
