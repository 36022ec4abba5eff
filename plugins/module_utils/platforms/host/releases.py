# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The releases on a machine: which there are, which is current, which proved good and with what.

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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ...core.errors import OperationError, Reason
from ...core.state_store import StateStore, write_atomically
from ..environment import Environment
from ..good_marks import GoodMarks, Mark
from ..releases import Release, with_setup
from . import environment_file
from .layout import GOOD_ENVIRONMENT, MARKER, RECORD, Layout

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
_REMOVED = ".removed-"
_NEW_LINK = ".current.new"


@dataclass(frozen=True)
class InstalledRelease(Release):
    """A complete release: its folder, and the interpreter of its venv."""

    folder: Path = Path()
    python: Path = Path()


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


class Releases:
    """The releases of one agent; marks of good ones are kept in the state store.

    Every method raises `precondition` where the files are not to be read or written.
    """

    def __init__(self, layout: Layout, store: StateStore) -> None:
        self._layout = layout
        self._marks = GoodMarks(store, f"releases/{layout.name}")

    def current(self) -> InstalledRelease | None:
        """The release that `current` links to; None for no link, or one that leads nowhere."""
        with self._files("read"):
            try:
                target = self._layout.home / os.readlink(self._layout.current)
            except FileNotFoundError:
                return None
        found = next((record for record in self.records() if record.folder == target), None)
        if found is None:
            return None
        now = _environment_digest(self._layout.environment, absent=Environment().digest())
        return with_setup(found, now)

    def records(self) -> list[InstalledRelease]:
        """The complete releases, installed last first."""
        marks = self._marks.all()
        with self._files("read"):
            found = [self._record(folder, marks) for folder in self._folders()]
        records = [record for record in found if record is not None]
        return sorted(records, key=lambda record: record.installed_at, reverse=True)

    def in_use(self) -> set[str]:
        """The releases that records of replicas name, whether or not they still run.

        A record is the last line of a pid file, or a file of its own where systemd has the pid;
        `earlier_release` is one that a replica may not have let go of yet.
        """
        found = set()
        for path in (*self._layout.run.glob("*.pid"), *self._layout.run.glob("*.json")):
            with contextlib.suppress(OSError, ValueError, IndexError, KeyError, TypeError):
                record = json.loads(path.read_text("utf-8").splitlines()[-1])
                found |= {record["release"], record.get("earlier_release")}
        return found - {None}

    def remnants(self) -> list[Path]:
        """What killed runs left: half-installed releases and half-removed ones."""
        with self._files("read"):
            return sorted(
                folder
                for folder in self._folders(hidden=True)
                if folder.name.startswith(_REMOVED)
                or ((folder / MARKER).exists() and not (folder / RECORD).exists())
            )

    def planned(self, release_id: str, digest: str, installed_at: float) -> InstalledRelease:
        """The record that a release will have."""
        folder = self._layout.release(release_id)
        return InstalledRelease(
            release_id, digest, installed_at, folder=folder, python=_python(folder)
        )

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

    def mark_good(self, release: Release, at: float) -> None:
        """Record that the release proved healthy, and keep the environment that it did so with.

        Marks of releases that are gone are dropped.
        """
        with self._files("write"):
            environment = environment_file.read(self._layout.environment)
            environment_file.write(self._good_environment(release.id), environment)
        self._marks.set(release, at, {each.id for each in self.records()})

    def restore_environment(self, release_id: str) -> None:
        """Have the environment again that the release proved good with."""
        with self._files("read"):
            environment = environment_file.read(self._good_environment(release_id))
        with self._files("write"):
            environment_file.write(self._layout.environment, environment)

    def forget_good(self, release_id: str) -> None:
        """Drop the release's mark, if it has one: it must prove itself again."""
        self._marks.drop(release_id)
        with self._files("write"):
            self._good_environment(release_id).unlink(missing_ok=True)

    def _good_environment(self, release_id: str) -> Path:
        return self._layout.release(release_id) / GOOD_ENVIRONMENT

    def _folders(self, hidden: bool = False) -> list[Path]:
        try:
            entries = list(self._layout.releases.iterdir())
        except FileNotFoundError:
            return []
        return [e for e in entries if e.is_dir() and (hidden or _ID.fullmatch(e.name))]

    def _record(self, folder: Path, marks: Mapping[str, Mark]) -> InstalledRelease | None:
        try:
            record = json.loads((folder / RECORD).read_text("utf-8"))
            digest, installed_at = str(record["digest"]), float(record["installed_at"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        mark = marks.get(folder.name)
        good_at = mark.at if mark is not None and mark.digest == digest else None
        return InstalledRelease(
            id=folder.name,
            digest=digest,
            installed_at=installed_at,
            good_at=good_at,
            setup=_environment_digest(folder / GOOD_ENVIRONMENT),
            folder=folder,
            python=_python(folder),
        )

    @contextlib.contextmanager
    def _files(self, verb: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise file_failure(f"{verb} the releases of {self._layout.name}", error) from error


def _environment_digest(path: Path, absent: str = "") -> str:
    """Empty for one that was broken by hand, and for a user who may not read it."""
    try:
        text = path.read_text(encoding="utf-8")
        return environment_file.parse(text, str(path)).digest()
    except FileNotFoundError:
        return absent
    except (OSError, ValueError, OperationError):
        return ""


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
