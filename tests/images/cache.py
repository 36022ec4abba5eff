# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has been made once stays, under a name that is a digest of all it was made from.

It stays in `.cache` of the checkout, or in the folder that TEST_BUILDS names, for several checkouts.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
BUILDS = Path(os.environ.get("TEST_BUILDS") or CHECKOUT / ".cache")
CACHE = BUILDS / "images"


def digest(*parts: str | bytes | Path) -> str:
    """Sixteen hexadecimal digits of texts, of files and of all files below folders."""
    total = hashlib.sha256()
    for part in parts:
        for content in _contents(part):
            total.update(hashlib.sha256(content).digest())
    return total.hexdigest()[:16]


def _contents(part: str | bytes | Path) -> Iterator[bytes]:
    if isinstance(part, bytes):
        yield part
    elif isinstance(part, str):
        yield part.encode()
    elif part.is_dir():
        for path in source_files(part):
            yield str(path.relative_to(part)).encode()
            yield path.read_bytes()
    else:
        yield part.read_bytes()


def source_files(folder: Path) -> list[Path]:
    """The files below a folder of sources, sorted, without bytecode."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in files if "__pycache__" not in path.parts)


def kept(name: str, key: str, make: Callable[[Path], str], suffix: str = "") -> Path:
    """The path `NAME-KEY` and the suffix in the cache, made now if it is not there.

    `make` is given a path beside it to make, a file or a folder, and returns words for the
    progress line. What an earlier key left under the same name is removed.
    """
    path = CACHE / f"{name}-{key}{suffix}"
    if path.exists():
        return path
    CACHE.mkdir(parents=True, exist_ok=True)
    with _lock(CACHE / f"{name}.lock"):
        if path.exists():  # somebody else has just made it
            return path
        partial = CACHE / f"{name}.partial"
        _remove(partial)
        print(f"images: making {name}", flush=True)
        started = time.monotonic()
        words = make(partial)
        partial.rename(path)
        print(f"images: {name} made in {time.monotonic() - started:.1f} s, {words}", flush=True)
        for old in CACHE.glob(f"{name}-{'[0-9a-f]' * len(key)}{suffix}"):
            if old != path:
                _remove(old)
    return path


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder on the cache's file system that is gone at the end."""
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="scratch.") as folder:
        yield Path(folder)


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """One maker at a time; the kernel releases a killed holder's lock."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
