# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One HTTP/1.1 connection, with a name for every way in which a request on it can fail."""

from __future__ import annotations

import asyncio
from urllib.parse import SplitResult

import h11

_CHUNK = 64 * 1024


class RequestFailed(Exception):
    """A request got no whole answer; `begun` says whether a byte of one had come."""

    def __init__(self, kind: str, *, begun: bool = False) -> None:
        super().__init__(kind)
        self.kind = kind
        self.begun = begun


class Connection:
    """A connection to send GET requests on, one after the other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.CLIENT)

    @classmethod
    async def open(cls, url: SplitResult) -> Connection:
        """Connect. Raises RequestFailed."""
        try:
            return cls(*await asyncio.open_connection(url.hostname, url.port or 80))
        except ConnectionRefusedError:
            raise RequestFailed("connection refused") from None
        except OSError as error:
            raise RequestFailed(f"connect: {error.strerror or error}") from error

    def is_open(self) -> bool:
        """Whether it can take another request, as far as is known here."""
        return (
            self._http.our_state is h11.IDLE
            and not self._reader.at_eof()
            and self._reader.exception() is None
        )

    async def get(self, url: SplitResult, *, keep: bool) -> int:
        """Send a request, read the whole answer, return its status. Raises RequestFailed."""
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        headers = [("Host", url.netloc), ("Connection", "keep-alive" if keep else "close")]
        request = h11.Request(method="GET", target=target, headers=headers)
        begun = False
        try:
            self._writer.write(self._http.send(request) + self._http.send(h11.EndOfMessage()))
            await self._writer.drain()
            status = 0
            while True:
                event = self._http.next_event()
                if event is h11.NEED_DATA:
                    received = await self._reader.read(_CHUNK)
                    begun = begun or bool(received)
                    if not begun:
                        raise RequestFailed("closed without an answer")
                    self._http.receive_data(received)
                elif isinstance(event, h11.Response):
                    status = event.status_code
                elif isinstance(event, h11.EndOfMessage):
                    break
        except OSError as error:
            raise RequestFailed(f"reset: {error.strerror or error}", begun=begun) from error
        except h11.RemoteProtocolError as error:
            raise RequestFailed(f"answer cut off: {error}", begun=begun) from error
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        return status

    def close(self) -> None:
        self._writer.close()
