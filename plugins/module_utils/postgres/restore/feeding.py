# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gives pg_restore the data files of a directory dump through FIFOs, as it opens them.

To open a FIFO for writing waits until somebody opens it for reading, or without waiting fails until
then (fifo(7)). So some threads wait at the files that are likely next, and one looks now and then
whether another was opened.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Callable

_F_SETPIPE_SZ = 1031  # fcntl.F_SETPIPE_SZ exists from Python 3.10
_PIPE_BYTES = 1024 * 1024
_AHEAD = 6  # files that are waited for beyond those that are being read
_MOST_THREADS = 64
_FIRST_LOOK_S, _LAST_LOOK_S = 0.005, 0.5
# To look at one file takes some 3 us: a look at all of them may take a third of the time.
_LOOK_S_PER_FILE = 0.00001

Feed = Callable[[str, Callable[[bytes], None]], None]


class _ReaderGone(Exception):
    """Whoever read a FIFO has closed it, or the feeder was stopped."""


class Feeder:
    """Feeds FIFOs that exist already; `names` in the order in which they are likely opened.

    `feed(name, write)` gives a file's bytes to `write`. When it raises, the FIFO is kept open,
    so that the reader never takes what it has for a whole file: end the reader, then `stop`.
    """

    def __init__(self, folder: Path, names: Sequence[str], feed: Feed, jobs: int = 1) -> None:
        """`jobs` is how many files are read at a time."""
        self._folder = folder
        self._feed = feed
        self._jobs = jobs
        self._pending = _Pending(names)
        self._stopped = threading.Event()
        self._failure: BaseException | None = None
        self._looker = threading.Thread(target=self._look, daemon=True)
        self._threads: list[threading.Thread] = []  # after the start, the looker's alone
        self._fed = 0
        self._fed_lock = threading.Lock()

    def start(self) -> None:
        for place in range(self._jobs + _AHEAD):
            self._start(self._follow, place)
        self._looker.start()

    @property
    def fed(self) -> int:
        """Bytes written so far."""
        return self._fed

    @property
    def unopened(self) -> list[str]:
        """The files that nobody has opened yet."""
        return self._pending.unopened()

    def raise_failure(self) -> None:
        """Raise what a feed met, if one failed."""
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Let go of the FIFOs and end all threads; the reader has ended before."""
        self._stopped.set()
        opened = [
            os.open(self._folder / name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            for name in self._pending.close()
        ]  # so that nobody waits any more for a reader
        if self._looker.ident is not None:
            self._looker.join()
        for thread in self._threads:
            thread.join()
        for handle in opened:
            os.close(handle)

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads = [each for each in self._threads if each.is_alive()] + [thread]
        thread.start()

    def _follow(self, place: int) -> None:
        """Wait at the first file from a place on that is free, feed it, and go on behind it."""
        while not self._stopped.is_set():
            found = self._pending.take(place)
            if found is None:
                return
            place, name = found
            handle = os.open(self._folder / name, os.O_WRONLY | os.O_CLOEXEC)
            self._pending.leave(name)
            if not self._stopped.is_set() and self._pending.opened(name):
                self._serve(name, handle)
            else:
                os.close(handle)

    def _look(self) -> None:
        """Find what was opened out of order, and let a thread go on from there."""
        pause = _FIRST_LOOK_S
        while not self._stopped.wait(max(pause, _LOOK_S_PER_FILE * self._pending.count)):
            pause = min(2 * pause, _LAST_LOOK_S)
            for name in self._pending.free():
                if self._stopped.is_set():
                    return
                try:
                    handle = os.open(
                        self._folder / name, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC
                    )
                except OSError as error:
                    if error.errno != errno.ENXIO:  # nobody reads it
                        self._fail(error)
                    continue
                pause = _FIRST_LOOK_S
                os.set_blocking(handle, True)
                if self._pending.opened(name):
                    self._start(self._serve_and_follow, name, handle)
                else:  # a thread came to wait at it meanwhile, and feeds it
                    os.close(handle)

    def _serve_and_follow(self, name: str, handle: int) -> None:
        self._serve(name, handle)
        if sum(thread.is_alive() for thread in self._threads) < _MOST_THREADS:
            self._follow(self._pending.place(name))

    def _serve(self, name: str, handle: int) -> None:
        try:
            with contextlib.suppress(OSError):  # more than this user's share of pipe memory
                fcntl.fcntl(handle, _F_SETPIPE_SZ, _PIPE_BYTES)
            self._feed(name, lambda data: self._write(handle, data))
        except _ReaderGone:
            pass
        except BaseException as error:  # handed to the thread that waits for the reader
            self._fail(error)
            self._stopped.wait()
        finally:
            os.close(handle)

    def _write(self, handle: int, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            if self._stopped.is_set():
                raise _ReaderGone
            try:
                rest = rest[os.write(handle, rest) :]
            except BrokenPipeError:
                raise _ReaderGone from None
        with self._fed_lock:
            self._fed += len(data)

    def _fail(self, error: BaseException) -> None:
        if self._failure is None:
            self._failure = error


class _Pending:
    """The files that nobody has opened yet, in order, and at which of them a thread waits."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = list(names)
        self._places = {name: place for place, name in enumerate(self._names)}
        self._unopened = dict.fromkeys(self._names)
        self._waited: set[str] = set()
        self._first = 0
        self._closed = False
        self._lock = threading.Lock()

    @property
    def count(self) -> int:
        return len(self._unopened)

    def place(self, name: str) -> int:
        return self._places[name]

    def unopened(self) -> list[str]:
        with self._lock:
            return list(self._unopened)

    def free(self) -> list[str]:
        """Those at which no thread waits."""
        with self._lock:
            return [name for name in self._unopened if name not in self._waited]

    def take(self, place: int) -> tuple[int, str] | None:
        """Wait at the next free one from a place on, or from the beginning; None without one."""
        with self._lock:
            while self._first < len(self._names) and self._names[self._first] not in self._unopened:
                self._first += 1
            for start in (max(place, self._first), self._first):
                for found in range(start, 0 if self._closed else len(self._names)):
                    name = self._names[found]
                    if name in self._unopened and name not in self._waited:
                        self._waited.add(name)
                        return found, name
            return None

    def leave(self, name: str) -> None:
        """Wait at this one no more."""
        with self._lock:
            self._waited.discard(name)

    def opened(self, name: str) -> bool:
        """Whether the caller is the first to say so, and is to feed it."""
        with self._lock:
            if name not in self._unopened:
                return False
            del self._unopened[name]
            return True

    def close(self) -> list[str]:
        """Let no thread wait any more; those at which one does."""
        with self._lock:
            self._closed = True
            return list(self._waited)
