# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One GET of a replica's endpoint, on the standard library alone: it also runs on targets."""

from __future__ import annotations

import http.client
import ssl
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from ..core.clock import Clock
from ..core.deadline import Deadline
from ..platforms import ServerAccess

_LARGEST_BODY = 8 * 1024 * 1024
_PIECE = 65536


class NoAnswer(Exception):
    """The replica did not answer in time, or not in HTTP; the message says what was seen."""


@dataclass(frozen=True)
class Answer:
    """A whole answer; `date` is the replica's own time, in seconds since the epoch."""

    status: int
    body: str
    date: float | None


class Endpoints:
    """Asks replicas, each within `timeout_s`, directly or through an API server."""

    def __init__(self, access: ServerAccess | None, timeout_s: float, clock: Clock) -> None:
        self._access = access
        self._timeout_s = timeout_s
        self._clock = clock

    def now(self) -> float:
        """Seconds since the epoch by our clock."""
        return self._clock.now()

    def monotonic(self) -> float:
        """Seconds for spans."""
        return self._clock.monotonic()

    def get(self, url: str) -> Answer:
        """The answer, whatever its status; raises `NoAnswer`."""
        deadline = Deadline(self._clock, self._timeout_s)
        parts = urlsplit(url)
        connection = self._connection(parts.scheme, parts.hostname or "", parts.port)
        try:
            connection.request("GET", parts.path or "/", headers=self._headers())
            response = connection.getresponse()
            body = self._body(response, connection, deadline)
        except (OSError, http.client.HTTPException) as error:
            seen = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise NoAnswer(f"{url}: {str(seen).lower()}") from error
        finally:
            connection.close()
        return Answer(response.status, body, _time_of(response.headers.get("Date")))

    def _connection(self, scheme: str, host: str, port: int | None) -> http.client.HTTPConnection:
        if scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=self._timeout_s)
        return http.client.HTTPSConnection(host, port, timeout=self._timeout_s, context=self._tls())

    def _tls(self) -> ssl.SSLContext:
        access = self._access
        context = ssl.create_default_context(cafile=access.ca_file if access else None)
        if access is not None and not access.validate_certs:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if access is not None and access.client_cert is not None:
            context.load_cert_chain(access.client_cert, access.client_key)
        return context

    def _headers(self) -> dict[str, str]:
        lines = self._access.headers if self._access else ()
        given = dict(line.split(": ", 1) for line in lines)
        return {"Connection": "close", "User-Agent": "optiinfra.cost_agent", **given}

    def _body(
        self,
        response: http.client.HTTPResponse,
        connection: http.client.HTTPConnection,
        deadline: Deadline,
    ) -> str:
        """The body within the deadline, however slowly it trickles."""
        received = b""
        while len(received) < _LARGEST_BODY:
            if deadline.expired:
                raise OSError(f"no whole answer within {self._timeout_s:g} s")
            if connection.sock is not None:
                connection.sock.settimeout(max(deadline.remaining, 0.001))
            piece = response.read1(_PIECE)
            if not piece:
                return received.decode("utf-8", "replace")
            received += piece
        raise OSError(f"an answer of more than {_LARGEST_BODY} bytes")


def _time_of(header: str | None) -> float | None:
    if not header:
        return None
    try:
        return parsedate_to_datetime(header).timestamp()
    except (TypeError, ValueError):
        return None
