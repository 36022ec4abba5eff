# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An open-loop load: requests at a fixed rate, half on kept-alive connections and half on new ones.

Open: a request is sent when it is due, whether or not those before it were answered, so a server
that stalls is seen by as many requests as its users would send meanwhile.

A request on a kept connection that the server closes before a byte of the answer is sent once
more on a new connection, as RFC 9110 (9.2.2) lets clients do for idempotent methods and all
common ones do; it is counted. Nothing else is ever sent twice.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
import time
from collections import deque
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from tests.load.connection import Connection, RequestFailed
from tests.load.report import Failure, Report, count_kinds, percentile
from tests.waiting import LIMIT_S

MOST_A_SECOND = 500
MOST_SECONDS = 600
_MOST_WAITING = 1000
_MOST_IDLE = 16


class OpenLoad:
    """A load in a thread of its own, as a context manager.

    with OpenLoad(url, rate=150) as load:
        load.wait_for(200)  # before it
        ...                 # what must not lose a request
    assert load.report.failed == 0, load.report
    """

    def __init__(self, url: str, rate: float = 150, *, timeout_s: float = 10.0) -> None:
        """`rate` is requests a second, `timeout_s` what an answer may take.

        Raises ValueError for a rate that is too high and for a host that is not a private one.
        """
        self._url = urlsplit(url)
        if not 0 < rate <= MOST_A_SECOND:
            raise ValueError(f"rate: wanted at most {MOST_A_SECOND} a second, got {rate:g}")
        _check_private(self._url.hostname or "")
        self._rate = rate
        self._timeout_s = timeout_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run_loop, name="load")
        self._error: BaseException | None = None
        self._idle: deque[Connection] = deque()
        self._waiting: set[asyncio.Task[None]] = set()
        self._latencies: list[float] = []
        self._failures: list[Failure] = []
        self._sent = self._kept = self._retried = self._connections = 0
        self._latest_s = self._seconds = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> Report:
        """Send no more, wait for the answers that are due, and report."""
        self._stopping.set()
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self.report

    @property
    def answered(self) -> int:
        return len(self._latencies)

    @property
    def failed(self) -> int:
        return len(self._failures)

    def wait_for(self, count: int, limit_s: float = LIMIT_S) -> None:
        """Until that many more requests were answered or have failed."""
        wanted = self.answered + self.failed + count
        deadline = time.monotonic() + limit_s
        while self.answered + self.failed < wanted:
            if time.monotonic() > deadline or not self._thread.is_alive():
                raise TimeoutError(f"load: wanted {count} more requests, have {self.report}")
            time.sleep(0.02)

    @property
    def report(self) -> Report:
        """The figures so far; those of all of it once it has stopped."""
        ordered = sorted(1000 * each for each in self._latencies)
        failures = tuple(self._failures)
        return Report(
            sent=self._sent,
            failed=len(failures),
            retried=self._retried,
            kept_alive=self._kept,
            connections=self._connections,
            seconds=self._seconds,
            rate=self._sent / self._seconds if self._seconds else 0.0,
            p50_ms=percentile(ordered, 0.50),
            p95_ms=percentile(ordered, 0.95),
            p99_ms=percentile(ordered, 0.99),
            max_ms=percentile(ordered, 1.0),
            latest_ms=1000 * self._latest_s,
            kinds=count_kinds(failures),
            failures=failures,
        )

    def _run_loop(self) -> None:
        try:
            asyncio.run(self._run())
        except BaseException as error:  # shown by stop(): a thread's error is nobody's else
            self._error = error

    async def _run(self) -> None:
        began = time.monotonic()
        while not self._stopping.is_set():
            self._seconds = time.monotonic() - began
            behind_s = self._seconds - self._sent / self._rate
            if self._seconds > MOST_SECONDS:
                break
            if behind_s < 0:
                await asyncio.sleep(min(-behind_s, 0.05))
                continue
            self._latest_s = max(self._latest_s, behind_s)
            self._send(due=began + self._sent / self._rate)
            await asyncio.sleep(0)
        if self._waiting:
            await asyncio.wait(self._waiting)
        for connection in self._idle:
            connection.close()

    def _send(self, due: float) -> None:
        keep = self._sent % 2 == 0
        self._sent += 1
        self._kept += keep
        if len(self._waiting) >= _MOST_WAITING:
            self._fail(due, f"not sent, {_MOST_WAITING} are waiting", keep)
            return
        task = asyncio.create_task(self._request(due, keep))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def _request(self, due: float, keep: bool) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                status = await (self._on_kept() if keep else self._on_new(keep=False))
        except RequestFailed as failure:
            self._fail(due, failure.kind, keep)
        except TimeoutError:
            self._fail(due, f"no answer in {self._timeout_s:g} s", keep)
        else:
            if 200 <= status < 300:
                self._latencies.append(time.monotonic() - due)
            else:
                self._fail(due, f"status {status}", keep)

    async def _on_kept(self) -> int:
        """On a connection that was used before, if one is open; on a new one otherwise."""
        while self._idle:
            connection = self._idle.popleft()
            if not connection.is_open():
                connection.close()
                continue
            try:
                return await self._use(connection, keep=True)
            except RequestFailed as failure:
                if failure.begun:
                    raise
                self._retried += 1
                break
        return await self._on_new(keep=True)

    async def _on_new(self, *, keep: bool) -> int:
        self._connections += 1
        return await self._use(await Connection.open(self._url), keep=keep)

    async def _use(self, connection: Connection, *, keep: bool) -> int:
        kept = False
        try:
            status = await connection.get(self._url, keep=keep)
            kept = keep and connection.is_open() and len(self._idle) < _MOST_IDLE
        finally:
            if not kept:
                connection.close()
        if kept:
            self._idle.append(connection)
        return status

    def _fail(self, due: float, kind: str, keep: bool) -> None:
        at = time.time() - (time.monotonic() - due)
        self._failures.append(Failure(at, kind, keep))


def _check_private(host: str) -> None:
    """Raise ValueError for a host of the internet: this is a test's tool."""
    for *_rest, address in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM):
        if not ipaddress.ip_address(address[0]).is_private:
            raise ValueError(f"{host}: wanted loopback or a private address, it is {address[0]}")
