# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The releases on a machine: which there are, which is current, which proved good.

A release is there once its `release.json` is, which is written last. What a killed run leaves
has `release.installing` instead, or a name that starts with a dot, and never counts.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Callable

from ...core.errors import OperationError, Reason
from ...core.state_store import ABSENT, Entry, StateStore, VersionConflict, write_atomically
from .layout import MARKER, RECORD, Layout

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
_REMOVED = ".removed-"
_NEW_LINK = ".current.new"


@dataclass(frozen=True)
class _Mark:
    """That the release of this digest proved healthy at this time."""

    digest: str
    at: float


Marks = dict[str, _Mark]


@dataclass(frozen=True)
class ReleaseRecord:
    """One complete release.

    `digest` is its source's; times are seconds since the epoch. `good_at` is None until it is
    recorded that the release proved healthy since it was last deployed.
    """

    id: str
    folder: Path
    python: Path
    digest: str
    installed_at: float
    good_at: float | None


def check_release_id(release_id: str) -> None:
    """Raise `invalid_input` for an id that cannot name a release's folder."""
    if release_id == "current" or not _ID.fullmatch(release_id):
        raise OperationError(
            Reason.INVALID_INPUT,
            f"use {release_id!r} as the id of a release",
            "an id starts with a letter or digit, goes on with those and . _ + -, has at most "
            "64 characters, and is not 'current'",
            "Give another id, for example 1.4.2",
        )


def surplus(
    records: list[ReleaseRecord], keep: int, protected: Collection[str]
) -> list[ReleaseRecord]:
    """The releases to remove: all but the newest `keep` and the protected ones."""
    newest_first = sorted(records, key=lambda record: record.installed_at, reverse=True)
    return [record for record in newest_first[keep:] if record.id not in protected]


def last_good(records: list[ReleaseRecord]) -> ReleaseRecord | None:
    """The release that was recorded good last."""
    good = [record for record in records if record.good_at is not None]
    return max(good, key=lambda record: record.good_at or 0.0, default=None)


class Releases:
    """The releases of one agent; marks of good ones are kept in the state store.

    Every method raises `precondition` where the files are not to be read or written.
    """

    def __init__(self, layout: Layout, store: StateStore) -> None:
        self._layout = layout
        self._store = store
        self._key = f"releases/{layout.name}"

    def current(self) -> ReleaseRecord | None:
        """The release that `current` links to; None for no link, or one that leads nowhere."""
        with self._files("read"):
            try:
                target = self._layout.home / os.readlink(self._layout.current)
            except FileNotFoundError:
                return None
        return next((record for record in self.records() if record.folder == target), None)

    def records(self) -> list[ReleaseRecord]:
        """The complete releases, installed last first."""
        marks, _entry = self._marks()
        with self._files("read"):
            found = [self._record(folder, marks) for folder in self._folders()]
        records = [record for record in found if record is not None]
        return sorted(records, key=lambda record: record.installed_at, reverse=True)

    def in_use(self) -> set[str]:
        """The releases that pid files name, whether or not their processes still run."""
        found = set()
        for path in self._layout.run.glob("*.pid"):
            with contextlib.suppress(OSError, ValueError, IndexError, KeyError, TypeError):
                found.add(str(json.loads(path.read_text("utf-8").splitlines()[1])["release"]))
        return found

    def remnants(self) -> list[Path]:
        """What killed runs left: half-installed releases and half-removed ones."""
        with self._files("read"):
            return sorted(
                folder
                for folder in self._folders(hidden=True)
                if folder.name.startswith(_REMOVED)
                or ((folder / MARKER).exists() and not (folder / RECORD).exists())
            )

    def planned(self, release_id: str, digest: str, installed_at: float) -> ReleaseRecord:
        """The record that a release will have."""
        folder = self._layout.release(release_id)
        return ReleaseRecord(release_id, folder, _python(folder), digest, installed_at, None)

    def complete(self, release_id: str, digest: str, installed_at: float) -> None:
        """Turn a release folder into a release: its record appears in one step."""
        folder = self._layout.release(release_id)
        record = {"id": release_id, "digest": digest, "installed_at": installed_at}
        write_atomically(folder / MARKER, json.dumps(record).encode(), mode=0o644)
        os.replace(folder / MARKER, folder / RECORD)

    def switch(self, release_id: str) -> None:
        """Make the release current in one step; readers see the old link or the new one."""
        with self._files("write"):
            new = self._layout.home / _NEW_LINK
            with contextlib.suppress(FileNotFoundError):
                new.unlink()
            new.symlink_to(Path("releases") / release_id)
            os.replace(new, self._layout.current)

    def remove(self, folder: Path) -> None:
        """Delete a folder of releases, under a name that never counts."""
        hidden = folder
        if not folder.name.startswith(_REMOVED):
            hidden = folder.with_name(f"{_REMOVED}{folder.name}-{uuid.uuid4().hex[:8]}")
            os.rename(folder, hidden)
        shutil.rmtree(hidden)

    def remove_all(self, folders: list[Path]) -> list[str]:
        """Delete these and return, in words, which could not be deleted and why."""
        failed = []
        for folder in folders:
            try:
                self.remove(folder)
            except OSError as error:
                failed.append(f"{folder}: {error.filename}: {error.strerror}")
        return failed

    def mark_good(self, record: ReleaseRecord, at: float) -> None:
        """Record that the release proved healthy; marks of releases that are gone are dropped."""
        there = {each.id for each in self.records()}

        def marked(marks: Marks) -> Marks:
            kept = {key: mark for key, mark in marks.items() if key in there}
            return {**kept, record.id: _Mark(record.digest, at)}

        self._change_marks(marked)

    def forget_good(self, release_id: str) -> None:
        """Drop the release's mark, if it has one: it must prove itself again."""
        if release_id in self._marks()[0]:
            self._change_marks(lambda marks: {k: v for k, v in marks.items() if k != release_id})

    def _change_marks(self, change: Callable[[Marks], Marks]) -> None:
        while True:
            marks, entry = self._marks()
            changed = {release_id: asdict(mark) for release_id, mark in change(marks).items()}
            data = json.dumps(changed).encode()
            with contextlib.suppress(VersionConflict):
                self._store.write(self._key, data, expect=entry.version if entry else ABSENT)
                return

    def _marks(self) -> tuple[Marks, Entry | None]:
        entry = self._store.read(self._key)
        if entry is None:
            return {}, None
        try:
            marks = {key: _Mark(**mark) for key, mark in json.loads(entry.data).items()}
        except (ValueError, TypeError, AttributeError):  # not written by this code: none is good
            marks = {}
        return marks, entry

    def _folders(self, hidden: bool = False) -> list[Path]:
        try:
            entries = list(self._layout.releases.iterdir())
        except FileNotFoundError:
            return []
        return [e for e in entries if e.is_dir() and (hidden or _ID.fullmatch(e.name))]

    def _record(self, folder: Path, marks: Marks) -> ReleaseRecord | None:
        try:
            record = json.loads((folder / RECORD).read_text("utf-8"))
            digest, installed_at = str(record["digest"]), float(record["installed_at"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        mark = marks.get(folder.name)
        return ReleaseRecord(
            id=folder.name,
            folder=folder,
            python=_python(folder),
            digest=digest,
            installed_at=installed_at,
            good_at=mark.at if mark is not None and mark.digest == digest else None,
        )

    @contextlib.contextmanager
    def _files(self, verb: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise file_failure(f"{verb} the releases of {self._layout.name}", error) from error


def _python(folder: Path) -> Path:
    return folder / "venv" / "bin" / "python"


def file_failure(wanted: str, error: OSError) -> OperationError:
    """The `precondition` that an error of the file system is."""
    return OperationError(
        Reason.PRECONDITION,
        wanted,
        f"{error.filename or 'a file'}: {error.strerror or error}",
        "See that the folder exists, has space left and that this user can write it",
    )
