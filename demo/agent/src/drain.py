"""An orderly end on SIGTERM.

Readiness says 503 first, so that a load balancer looks elsewhere, and every answer
asks its client to close the connection. After DRAIN_SECONDS uvicorn closes the
listening socket and lets requests in flight complete; then the process exits 0.

Where the listening socket is not ours but systemd's (socket activation, LISTEN_FDS),
connections that come after that wait in it for the next process.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from types import FrameType
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger("cost_agent.drain")

# Between the last accept and the end of accepting, for connections that asyncio has
# accepted and not yet handed to uvicorn: closing the server would drop them
# (asyncio's Server._attach fails once it is closed, python/cpython#109564).
_HANDED_OVER_S = 0.05


class Drain:
    """Whether the end has begun, and what to do when SIGTERM comes."""

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self.has_begun = False

    def begin_on_sigterm(self) -> None:
        """Take SIGTERM over from uvicorn. Call on the event loop, once uvicorn has its handler."""
        if threading.current_thread() is not threading.main_thread():
            return  # a test client's loop: signals are not ours there
        loop = asyncio.get_running_loop()
        uvicorn_handler: Any = signal.getsignal(signal.SIGTERM)

        def on_sigterm(_number: int, _frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(self._begin, uvicorn_handler)

        signal.signal(signal.SIGTERM, on_sigterm)

    def _begin(self, uvicorn_handler: Any) -> None:
        if self.has_begun:
            return
        self.has_begun = True
        log.info("draining, closing in %g s", self._delay_s)
        server: Any = getattr(uvicorn_handler, "__self__", None)
        asyncio.get_running_loop().call_later(self._delay_s, _end, server)


class CloseWhileDraining:
    """ASGI middleware: during the drain a client is told not to use its connection again.

    So it opens another one, to another replica or to this one's successor, instead of
    sending a request on a connection that is being closed.
    """

    def __init__(self, app: ASGIApp, drain: Drain) -> None:
        self._app = app
        self._drain = drain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def close(message: Message) -> None:
            if message["type"] == "http.response.start" and self._drain.has_begun:
                headers = [*message.get("headers", []), (b"connection", b"close")]
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, close if scope["type"] == "http" else send)


def _end(server: Any) -> None:
    if os.environ.get("LISTEN_FDS") and hasattr(server, "servers"):
        loop = asyncio.get_running_loop()
        for each in server.servers:
            for listener in each.sockets:
                loop.remove_reader(listener.fileno())
        loop.call_later(_HANDED_OVER_S, _close, server)
    else:
        _close(server)


def _close(server: Any) -> None:
    if hasattr(server, "should_exit"):
        # Not by calling uvicorn's handler: it would raise the signal again at
        # the end, and the exit code would be 143 after an orderly end.
        server.should_exit = True
    else:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTERM)
