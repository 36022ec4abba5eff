# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests sent by libcurl: many at a time, one thread, its own timers.

Driven by `curl_multi_socket_action` and poll(2); pycurl's `select` knows no descriptor above
1023.
"""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core.errors import OperationError, Reason
from .conversation import Request
from .exchange import BODY_LIMIT_BYTES, OK, Exchange

try:
    import pycurl
except ImportError:
    pycurl = None  # type: ignore[assignment,unused-ignore]

# Where systems keep their trusted issuers; the order of Go's crypto/x509 (root_linux.go).
_SYSTEM_CA_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
_NOT_CONNECTED = ("Resolving timed out", "Connection timed out")  # libcurl, lib/multi.c
_MS = 1000.0


@dataclass(frozen=True)
class Transport:
    """How requests are sent; `headers` are complete lines and may hold secrets."""

    timeout_s: float = 5.0
    ca_file: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    validate_certs: bool = True
    headers: tuple[str, ...] = field(default=(), repr=False)
    user_agent: str = "optiinfra-cost-agent-health"


class CurlSender:
    """Sends requests and hands back their exchanges; `most_idle` connections are kept alive."""

    def __init__(self, transport: Transport, most_idle: int) -> None:
        if pycurl is None:
            raise OperationError(
                Reason.MISSING_LIBRARY,
                "ask over HTTP",
                "the Python library pycurl is not installed for this interpreter",
                "Install pycurl where this runs",
            )
        self._transport = transport
        self._idle_handles: dict[tuple[bool, bool], list[Any]] = {}
        self._poll = select.poll()
        self._polled: set[int] = set()
        self._timer_ms = -1
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)
        self._multi.setopt(pycurl.M_MAXCONNECTS, most_idle)

    def send(self, token: object, request: Request, timeout_s: float) -> None:
        """Begin a request; `receive` returns its exchange with the token."""
        idle = self._idle_handles.get((request.private, request.connect_only))
        handle = idle.pop() if idle else self._new_handle(request)
        handle.token = token
        handle.request = request
        handle.timeout_s = timeout_s
        handle.body = _Body()
        handle.setopt(pycurl.URL, request.url)
        handle.setopt(pycurl.TIMEOUT_MS, max(1, int(timeout_s * 1000)))
        handle.setopt(pycurl.WRITEFUNCTION, handle.body.take)
        handle.setopt(pycurl.FORBID_REUSE, int(request.last))
        self._multi.add_handle(handle)

    def receive(self, wait_ms: int) -> tuple[int, list[tuple[object, Exchange]]]:
        """Wait for answers; how many sockets were ready at once, and what ended."""
        if 0 <= self._timer_ms < wait_ms:
            wait_ms = self._timer_ms
        ready = self._poll.poll(wait_ms)
        for descriptor, events in ready:
            bits = pycurl.CSELECT_OUT if events & select.POLLOUT else 0
            if events & ~select.POLLOUT:  # readable, hung up or in error
                bits |= pycurl.CSELECT_IN
            self._multi.socket_action(descriptor, bits)
        if not ready:
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        return len(ready), list(self._ended())

    def close(self) -> None:
        """Drop what is still under way."""
        self._multi.close()

    def _ended(self) -> Iterator[tuple[object, Exchange]]:
        queued = 1
        while queued:
            queued, succeeded, failed = self._multi.info_read()
            for handle in succeeded:
                yield self._finish(handle, OK, "")
            for handle, code, error in failed:
                yield self._finish(handle, code, error)

    def _finish(self, handle: Any, code: int, error: str) -> tuple[object, Exchange]:
        exchange = _exchange(handle, code, error)
        self._multi.remove_handle(handle)
        request = handle.request
        self._idle_handles.setdefault((request.private, request.connect_only), []).append(handle)
        return handle.token, exchange

    # libcurl's two wishes: which sockets to watch, and when to be called without one.

    def _watch(self, what: int, descriptor: int, multi: object, data: object) -> None:
        if what == pycurl.POLL_REMOVE:
            if descriptor in self._polled:
                self._polled.discard(descriptor)
                self._poll.unregister(descriptor)
            return
        mask = select.POLLIN if what & pycurl.POLL_IN else 0
        mask |= select.POLLOUT if what & pycurl.POLL_OUT else 0
        self._polled.add(descriptor)
        self._poll.register(descriptor, mask)

    def _set_timer(self, timeout_ms: int) -> None:
        self._timer_ms = timeout_ms

    def _new_handle(self, request: Request) -> Any:
        handle: Any = pycurl.Curl()
        handle.setopt(pycurl.NOSIGNAL, 1)
        handle.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        handle.setopt(pycurl.MAXFILESIZE, BODY_LIMIT_BYTES)
        handle.setopt(pycurl.USERAGENT, self._transport.user_agent)
        if request.connect_only:
            handle.setopt(pycurl.CONNECT_ONLY, 1)
        if self._transport.validate_certs:
            ca_file = self._transport.ca_file or _system_ca_file()
            if ca_file:
                handle.setopt(pycurl.CAINFO, ca_file)
        else:
            handle.setopt(pycurl.SSL_VERIFYPEER, 0)
            handle.setopt(pycurl.SSL_VERIFYHOST, 0)
        handle.has_certificate = request.private and self._transport.client_cert is not None
        if request.private:
            handle.setopt(pycurl.HTTPHEADER, ["Accept: application/json", *self._transport.headers])
            if self._transport.client_cert:
                handle.setopt(pycurl.SSLCERT, self._transport.client_cert)
            if self._transport.client_key:
                handle.setopt(pycurl.SSLKEY, self._transport.client_key)
        return handle


class _Body:
    """An answer's body as it arrives; libcurl is told to stop when it grows over the limit."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.size = 0

    def take(self, part: bytes) -> int:
        self.size += len(part)
        if self.size > BODY_LIMIT_BYTES:
            return 0
        self._parts.append(part)
        return len(part)

    def content(self) -> bytes:
        return b"".join(self._parts)


def _exchange(handle: Any, code: int, error: str) -> Exchange:
    # A new connection counts as connecting and is not part of the latency. A kept-alive one has
    # no such time, and its latency runs from libcurl's start, some 0.05 ms before it sends.
    connect_s = max(handle.getinfo(pycurl.CONNECT_TIME), handle.getinfo(pycurl.APPCONNECT_TIME))
    status = handle.getinfo(pycurl.RESPONSE_CODE)
    if code != OK:
        return Exchange(
            code=code,
            error=error,
            os_error=handle.getinfo(pycurl.OS_ERRNO),
            http_status=status,
            connect_ms=connect_s * _MS,
            # A kept-alive connection has no connect time, and only the error tells.
            connected=connect_s > 0 or not error.startswith(_NOT_CONNECTED),
            is_anonymous_tls=handle.request.url.startswith("https:") and not handle.has_certificate,
            received_bytes=handle.body.size,
            timeout_s=handle.timeout_s,
        )
    return Exchange(
        code=OK,
        http_status=status,
        body=handle.body.content(),
        redirect_url=handle.getinfo(pycurl.REDIRECT_URL) or "" if 300 <= status < 400 else "",
        latency_ms=(handle.getinfo(pycurl.TOTAL_TIME) - connect_s) * _MS,
        connect_ms=connect_s * _MS,
        connected=True,
    )


def _system_ca_file() -> str | None:
    """What curl and OpenSSL would use here: the environment's choice, or the system's issuers."""
    chosen = os.environ.get("CURL_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE")
    if chosen:
        return chosen
    return next((path for path in _SYSTEM_CA_FILES if Path(path).is_file()), None)
