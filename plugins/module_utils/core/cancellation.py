# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A clean end when a signal comes or the parent process dies.

Measured on ansible-core 2.16 to 2.21: a worker's default handlers end it before any `finally`
runs, and a killed controller leaves its workers running. An operation that holds something
therefore turns both into `Cancelled`, raised in the main thread.
"""

from __future__ import annotations

import contextlib
import ctypes
import signal
import threading
from collections.abc import Iterator
from typing import Any

from .errors import Cancelled

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)  # now: in a forked child there is only its call to make
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@contextlib.contextmanager
def cancellable() -> Iterator[None]:
    """Raise `Cancelled` in the block on TERM, INT, HUP or the parent's death.

    Only the first signal counts, so that cleaning up is not interrupted. In a thread other than
    the main one, where Python runs no handlers, the block runs unchanged.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: Any) -> None:
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise Cancelled(signal.Signals(number).name)

    before = {each: signal.signal(each, end) for each in _SIGNALS}
    signal_on_parent_death(signal.SIGTERM)
    try:
        yield
    finally:
        signal_on_parent_death(0)
        for each, handler in before.items():
            signal.signal(each, handler if handler is not None else signal.SIG_DFL)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold the signals of `cancellable` back until the block ends.

    For the start of a child: a signal while Python waits for its exec would leave it running with
    nobody who knows it. The child inherits this, and calls `interruptible` before its exec.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def interruptible() -> None:
    """Let the signals through again that `uninterrupted` holds back."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


def signal_on_parent_death(number: int) -> None:
    """Have the kernel send this signal when the thread that started this process ends; 0: none."""
    with contextlib.suppress(AttributeError):  # not Linux
        _LIBC.prctl(_PR_SET_PDEATHSIG, number)
