"""An orderly end on SIGTERM.

Readiness says 503 first, so that a load balancer looks elsewhere; after
DRAIN_SECONDS uvicorn closes the listening socket and lets requests in flight
complete; then the process exits 0.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from types import FrameType
from typing import Any

log = logging.getLogger("cost_agent.drain")


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
        asyncio.get_running_loop().call_later(self._delay_s, _close, uvicorn_handler)


def _close(uvicorn_handler: Any) -> None:
    server: Any = getattr(uvicorn_handler, "__self__", None)
    if hasattr(server, "should_exit"):
        # Not by calling the handler: uvicorn would raise the signal again at
        # the end, and the exit code would be 143 after an orderly end.
        server.should_exit = True
    else:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTERM)
