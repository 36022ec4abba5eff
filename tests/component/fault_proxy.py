# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An HTTP proxy on loopback that does to chosen requests what networks and servers do.

    with FaultProxy(addresses["s3"]["endpoint_url"]) as proxy:
        fault = proxy.inject(Respond(503, "SlowDown"), method="PUT", containing="partNumber=2")
        ...                      # the client's endpoint_url is proxy.url
        assert fault.hits == 1   # how many requests it met; `fault.met` is an Event to wait for

`inject` takes what happens, and to which requests: `method`, `containing` (a part of the path
with its query), `skip` (let so many matching ones pass first) and `times` (None: all that
follow). The first fault that matches acts; other requests pass unchanged, streamed, so memory
does not grow. What happens is one of:

    Respond(status, code, message, headers)  an S3 error, without asking the server
    ResetRequest(after)      read so many bytes of the request's body, then reset (RST)
    ResetResponse(after)     send so many bytes of the answer's body, then reset
    Truncate(after)          the same, but the connection is closed in good order
    Hang(after)              so many bytes of the answer's body, then nothing; None: no answer
    Corrupt(at)              flip one bit of the answer's body
    Call(function)           call it, then let the request pass: kill something at this moment
    LoseAnswer()             the server does the work, the client gets a reset instead of an answer

`proxy.refusing()` is a block in which nobody can connect. `proxy.requests` holds
"METHOD /path?query" of all requests so far, `proxy.clear()` takes the faults back.
Faults are injected into plain HTTP; S3's signatures stay valid, since Host is passed on. In front
of a server that speaks TLS, give the context that the proxy trusts it by as `tls`.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO
from urllib.parse import urlsplit

_CHUNK = 64 * 1024
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER with no time: close() sends RST


@dataclass(frozen=True)
class Respond:
    status: int
    code: str
    message: str = "injected by the fault proxy"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ResetRequest:
    after: int = 0


@dataclass(frozen=True)
class ResetResponse:
    after: int = 0


@dataclass(frozen=True)
class Truncate:
    after: int = 0


@dataclass(frozen=True)
class Hang:
    after: int | None = None


@dataclass(frozen=True)
class Corrupt:
    at: int = 0


@dataclass(frozen=True)
class Call:
    function: Callable[[], object]


@dataclass(frozen=True)
class LoseAnswer:
    pass


Action = Respond | ResetRequest | ResetResponse | Truncate | Hang | Corrupt | Call | LoseAnswer


@dataclass
class Fault:
    """What happens to which requests; `hits` counts them, `met` is set by the first.

    For a `Hang()`, it is set when the server has the whole request.
    """

    action: Action
    method: str | None
    containing: str
    skip: int
    times: int | None
    hits: int = 0
    met: threading.Event = field(default_factory=threading.Event)

    def claims(self, request: Head) -> bool:
        """Whether it acts on this request, which then counts."""
        if self.method not in (None, request.method) or self.containing not in request.target:
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.times is not None and self.hits >= self.times:
            return False
        self.hits += 1
        if self.action != Hang():
            self.met.set()
        return True


class _Ended(Exception):
    """This connection is over."""


@dataclass
class Head:
    """The first line and the headers of a message, as bytes and taken apart."""

    raw: bytes
    first: list[str]
    headers: dict[str, str]

    @property
    def method(self) -> str:
        return self.first[0]

    @property
    def target(self) -> str:
        return self.first[1]

    @property
    def status(self) -> int:
        return int(self.first[1])

    def without(self, name: str) -> bytes:
        """The bytes less one header."""
        lines = self.raw.split(b"\r\n")
        return b"\r\n".join(
            line for line in lines if not line.lower().startswith(name.encode() + b":")
        )


class FaultProxy:
    """A context manager; `url` is what a client connects to."""

    def __init__(self, upstream: str, tls: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(upstream)
        assert parts.hostname in ("127.0.0.1", "localhost"), "only servers on this machine"
        self._upstream = (parts.hostname, parts.port or 80)
        self._tls = tls
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._ended = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._address = self._listener.getsockname()
        self.requests: list[str] = []

    @property
    def url(self) -> str:
        return f"http://{self._address[0]}:{self._address[1]}"

    def inject(
        self,
        action: Action,
        *,
        method: str | None = None,
        containing: str = "",
        skip: int = 0,
        times: int | None = 1,
    ) -> Fault:
        fault = Fault(action, method, containing, skip, times)
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Take all faults back and forget the requests."""
        with self._lock:
            self._faults.clear()
            self.requests.clear()

    @contextlib.contextmanager
    def refusing(self) -> Iterator[None]:
        """Close every connection and refuse new ones."""
        self._stop_listening()
        try:
            yield
        finally:
            self._listener = socket.create_server(self._address)
            self._listen()

    def __enter__(self) -> FaultProxy:
        self._listen()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        self._stop_listening()

    def _listen(self) -> None:
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _stop_listening(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self._listener.close()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _address = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with self._lock:
            self._open.add(client)
        try:
            with client, self._connected() as server:
                reading = client.makefile("rb"), server.makefile("rb")
                with reading[0], reading[1]:
                    while self._exchange(client, server, *reading):
                        pass
        except (_Ended, OSError):
            pass
        finally:
            with self._lock:
                self._open.discard(client)

    def _connected(self) -> socket.socket:
        server = socket.create_connection(self._upstream)
        if self._tls is None:
            return server
        return self._tls.wrap_socket(server, server_hostname=self._upstream[0])

    def _exchange(
        self, client: socket.socket, server: socket.socket, requests: BinaryIO, answers: BinaryIO
    ) -> bool:
        """One request and its answer; whether another one may follow."""
        request = _head(requests)
        if request is None:
            return False
        with self._lock:
            self.requests.append(f"{request.method} {request.target}")
            fault = next((each for each in self._faults if each.claims(request)), None)
        action = fault.action if fault else None
        if "100-continue" in request.headers.get("expect", ""):
            client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if isinstance(action, Respond):
            for _piece in _body(request, requests):
                pass
            client.sendall(_answer(action, request.method))
            return True
        if isinstance(action, ResetRequest):
            _take(requests, action.after)
            _reset(client)
        if isinstance(action, Call):
            action.function()
        server.sendall(request.without("expect"))
        for piece in _body(request, requests):
            server.sendall(piece)
        if fault and action == Hang():
            fault.met.set()
            self._ended.wait()
            raise _Ended
        answer = _head(answers)
        if answer is None:
            return False
        if isinstance(action, LoseAnswer):
            _reset(client)
        client.sendall(answer.raw)
        bodiless = request.method == "HEAD" or answer.status in (204, 304)
        sent = 0
        for piece in () if bodiless else _body(answer, answers, until_closed=True):
            self._pass_on(client, piece, sent, action)
            sent += len(piece)
        return answer.headers.get("connection", "").lower() != "close"

    def _pass_on(
        self, client: socket.socket, piece: bytes, sent: int, action: Action | None
    ) -> None:
        """Send a piece of an answer's body, of which `sent` bytes are sent already."""
        after = getattr(action, "after", None)
        if isinstance(action, Corrupt) and sent <= action.at < sent + len(piece):
            changed = bytearray(piece)
            changed[action.at - sent] ^= 1
            piece = bytes(changed)
        elif after is not None and sent + len(piece) > after:
            client.sendall(piece[: after - sent])
            if isinstance(action, ResetResponse):
                _reset(client)
            if isinstance(action, Hang):
                self._ended.wait()
            raise _Ended
        client.sendall(piece)


def _reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    raise _Ended


def _head(source: BinaryIO) -> Head | None:
    """The next message's head, or None where the connection was closed."""
    lines = []
    while (line := source.readline()) not in (b"\r\n", b""):
        lines.append(line)
    if not lines or not line:
        return None
    fields = [each.decode("latin-1").partition(":") for each in lines[1:]]
    headers = {name.strip().lower(): value.strip() for name, _colon, value in fields}
    return Head(b"".join([*lines, line]), lines[0].decode("latin-1").split(), headers)


def _body(head: Head, source: BinaryIO, until_closed: bool = False) -> Iterator[bytes]:
    """The message's body as it is on the wire, in pieces."""
    if "chunked" in head.headers.get("transfer-encoding", "").lower():
        yield from _chunked(source)
    elif "content-length" in head.headers:
        left = int(head.headers["content-length"])
        while left:
            piece = _take_some(source, min(left, _CHUNK))
            left -= len(piece)
            yield piece
    elif until_closed:
        while piece := source.read(_CHUNK):
            yield piece


def _chunked(source: BinaryIO) -> Iterator[bytes]:
    size = None
    while size != 0:
        line = source.readline()
        size = int(line.split(b";")[0], 16)
        yield line
        if size:
            yield _take(source, size + 2)
    while (line := source.readline()) not in (b"\r\n", b""):
        yield line  # trailers
    yield line


def _take_some(source: BinaryIO, size: int) -> bytes:
    piece = source.read1(size)  # type: ignore[attr-defined]
    if not piece:
        raise _Ended
    return bytes(piece)


def _take(source: BinaryIO, size: int) -> bytes:
    data = source.read(size)
    if len(data) < size:
        raise _Ended
    return data


def _answer(action: Respond, method: str) -> bytes:
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{action.code}</Code><Message>{action.message}</Message>"
        "<RequestId>fault</RequestId></Error>"
    ).encode()
    headers = {
        "Content-Type": "application/xml",
        "Content-Length": str(len(body)),
        **action.headers,
    }
    lines = [f"HTTP/1.1 {action.status} Injected", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + (b"" if method == "HEAD" else body)
