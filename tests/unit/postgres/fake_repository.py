# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A repository in memory that counts requests as S3 would be asked them, and fails when told to."""

from __future__ import annotations

import contextlib
import io
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.state_store import (
    ABSENT,
    ANY,
    Entry,
    VersionConflict,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.repository import (
    NoSuchObject,
    StoredObject,
)

PAGE = 1000  # of ListObjectsV2 and DeleteObjects


class StandingClock:
    """Stands at one time of the day, in seconds since the epoch, and nobody sleeps by it."""

    def __init__(self, now: float) -> None:
        self._now = now

    def monotonic(self) -> float:
        return 0.0

    def now(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing waits")


class FakeRepository:
    """`requests` counts them by kind; `before` is called with (kind, key) ahead of each."""

    url = "s3://backups"

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, str]] = {}
        self.protected: dict[str, str] = {}
        self.uploads: list[str] = []
        self.requests: Counter[str] = Counter()
        self.before: Callable[[str, str], None] = lambda kind, key: None
        self._versions = 0
        self._lock = threading.RLock()

    def read(self, key: str) -> Entry:
        self._ask("read", key)
        return Entry(*self._object(key))

    @contextlib.contextmanager
    def open(self, key: str, offset: int = 0, size: int | None = None) -> Iterator[io.BytesIO]:
        self._ask("open", key)
        data, _version = self._object(key)
        yield io.BytesIO(data[offset:] if size is None else data[offset : offset + size])

    def write(self, key: str, data: bytes, expect: str = ANY) -> str:
        self._ask("write", key)
        with self._lock:
            self._require(key, expect)
            self._versions += 1
            self.objects[key] = (data, f"v{self._versions}")
            return self.objects[key][1]

    def upload(self, key: str):
        raise NotImplementedError

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        self._ask("list", prefix)
        found = sorted(key for key in self.objects if key.startswith(prefix))
        for key in self._paged(prefix, found):
            if key in self.objects:
                data, version = self.objects[key]
                yield StoredObject(key, len(data), 0.0, version)

    def list_folders(self, prefix: str) -> Iterator[str]:
        self._ask("list", prefix)
        below = [key[len(prefix) :] for key in self.objects if key.startswith(prefix)]
        names = {name.partition("/")[0] for name in below if "/" in name}
        yield from self._paged(prefix, sorted(names))

    def delete(self, keys: Iterable[str]) -> int:
        wanted = list(keys)
        for at in range(0, len(wanted), PAGE):
            self._ask("delete", wanted[at])
            for key in wanted[at : at + PAGE]:
                self.objects.pop(key, None)
        return len(wanted)

    def delete_version(self, key: str, version: str) -> None:
        self._ask("delete_version", key)
        with self._lock:
            self._require(key, version)
            self.objects.pop(key, None)

    def unfinished_uploads(self, prefix: str) -> int:
        self._ask("unfinished_uploads", prefix)
        return len([key for key in self.uploads if key.startswith(prefix)])

    def abort_uploads(self, prefix: str) -> int:
        self._ask("abort_uploads", prefix)
        ended = [key for key in self.uploads if key.startswith(prefix)]
        self.uploads = [key for key in self.uploads if not key.startswith(prefix)]
        return len(ended)

    def protection_of(self, key: str) -> str:
        self._ask("protection_of", key)
        return self.protected.get(key, "")

    def close(self) -> None:
        """Nothing is open."""

    def _paged(self, prefix: str, names: list[str]) -> Iterator[str]:
        """All of them; each page but the first is one more request."""
        for index, name in enumerate(names):
            if index and index % PAGE == 0:
                self._ask("list", prefix)
            yield name

    def _ask(self, kind: str, key: str) -> None:
        self.before(kind, key)
        with self._lock:
            self.requests[kind] += 1

    def _object(self, key: str) -> tuple[bytes, str]:
        if key not in self.objects:
            raise NoSuchObject(key)
        return self.objects[key]

    def _require(self, key: str, expect: str) -> None:
        if expect != ANY and self.objects.get(key, (b"", ABSENT))[1] != expect:
            raise VersionConflict(key)
