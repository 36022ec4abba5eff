"""One up or down of a home at a time."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from demo.stack.errors import StackError

TIMEOUT_S = 600.0


@contextmanager
def exclusive(path: Path, timeout_s: float = TIMEOUT_S) -> Iterator[None]:
    """Hold the lock file for the block; the kernel releases a killed holder's lock.

    Raises StackError when somebody else holds it for `timeout_s` seconds.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        with path.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise StackError(
                        f"stack: another up or down has held {path} for "
                        f"{timeout_s:.0f} s; find it with: fuser {path}"
                    ) from None
            else:
                # A purge may have removed the file between opening and locking it.
                if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
                    yield
                    return
        time.sleep(0.05)
