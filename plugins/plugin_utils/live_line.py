# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A line at the bottom of a terminal that is redrawn in place while a step runs."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import sys
import threading
import time
from typing import Any, Callable

_LOOK_EVERY_S = 0.25
_ECHO = len("^C")  # which the terminal itself adds when a person interrupts


class LiveLine:
    """Shows `text(elapsed seconds)` from a thread, and makes room for every other line.

    Other lines come from anywhere (warnings, progress of workers), all by way of the display;
    so its `display` is wrapped to erase this line first. Everything is written under the
    display's own lock, which Ansible also holds while it forks a worker.
    """

    def __init__(self, display: Any) -> None:
        self._display = display
        self._lock = display._lock
        self._text: Callable[[float], str] | None = None
        self._since = 0.0
        self._drawn = ""
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._make_room_for_other_lines()

    def show(self, text: Callable[[float], str]) -> None:
        """Begin a line; what takes under a quarter of a second is never drawn."""
        with self._lock:
            self._erase()
            self._text, self._since = text, time.monotonic()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="live line", daemon=True)
            self._thread.start()
            atexit.register(self.end)

    def hide(self) -> None:
        with self._lock:
            self._text = None
            self._erase()

    def end(self) -> None:
        self.hide()
        self._ended.set()

    def _run(self) -> None:
        while not self._ended.wait(_LOOK_EVERY_S):
            with self._lock:
                elapsed = time.monotonic() - self._since
                if self._text is not None and elapsed >= _LOOK_EVERY_S:
                    self._draw(self._text(elapsed))

    def _draw(self, text: str) -> None:
        text = text[: shutil.get_terminal_size().columns - _ECHO - 1]
        if text != self._drawn:
            sys.stdout.write("\r" + text.ljust(len(self._drawn)))
            sys.stdout.flush()
            self._drawn = text

    def _erase(self) -> None:
        if self._drawn:
            sys.stdout.write("\r" + " " * (len(self._drawn) + _ECHO) + "\r")
            sys.stdout.flush()
            self._drawn = ""

    def _make_room_for_other_lines(self) -> None:
        write = self._display.display
        controller = os.getpid()

        @functools.wraps(write)
        def display(*args: Any, **kwargs: Any) -> None:
            if os.getpid() != controller:  # a worker, which passes its lines to the controller
                write(*args, **kwargs)
                return
            with self._lock:
                self._erase()
                write(*args, **kwargs)

        self._display.display = display
