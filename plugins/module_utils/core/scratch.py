# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A private folder for one run, which a later run removes when this one is killed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .errors import OperationError, Reason

_PREFIX = "cost-agent-scratch-"
_LOCK = "in-use"


@contextlib.contextmanager
def scratch_folder(parent: str | None) -> Iterator[Path]:
    """An empty folder below `parent` (or the system's temporary one), gone after the block.

    Its owner holds a file lock in it, which the kernel releases however the owner ends: so the
    folders that killed runs left are known, and removed first. Raises `precondition`.
    """
    place = Path(parent or tempfile.gettempdir())
    try:
        _remove_left_behind(place)
        folder = Path(tempfile.mkdtemp(prefix=f".{_PREFIX}", dir=place))
        lock = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Only now does it look like a scratch folder: never without its lock.
        folder = folder.rename(folder.with_name(folder.name[1:]))
        (folder / "files").mkdir(mode=0o700)
    except OSError as error:
        raise OperationError(
            Reason.PRECONDITION,
            "make a scratch folder",
            f"{error.filename or place}: {error.strerror}",
            "Give in scratch a folder that this user can write",
        ) from error
    try:
        yield folder / "files"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _remove_left_behind(place: Path) -> None:
    for folder in place.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # another user's, or just gone
            if folder.lstat().st_uid == os.geteuid() and not _is_in_use(folder / _LOCK):
                shutil.rmtree(folder, ignore_errors=True)


def _is_in_use(lock: Path) -> bool:
    handle = os.open(lock, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False
