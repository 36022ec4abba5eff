# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a release is made from: a folder, a `.tar.gz` of one, or a wheel, read as one list.

A source may come from anywhere, so nothing in it reaches outside the folder it is unpacked to:
only files, and links that stay inside; links are made last, so nothing is written through one.
(`tarfile`'s own filter for this is missing before Python 3.9.17 and broken in that one.)
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import importlib.machinery
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Callable

from ...core.errors import OperationError, Reason
from .layout import MARKER, RECORD

_IGNORED_ANYWHERE = {"__pycache__", ".git"}
_IGNORED_AT_TOP = {"venv", ".venv"}
_KEPT_MODE = 0o755  # no setuid, not writable for others
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Member:
    """One file of a source; a link has its target in `link`, and `content` is not called."""

    path: PurePosixPath
    mode: int
    link: str | None
    content: Callable[[], IO[bytes]]


@dataclass(frozen=True)
class ReleaseSource:
    """A source that has been read once.

    `digest` is the SHA-256 over relative paths, the executable bit and contents. `importable`
    are the paths that the interpreter will see. `wheel` is the wheel's file name, if it is one.
    """

    path: Path
    members: list[Member]
    digest: str
    importable: frozenset[str]
    wheel: str | None = None

    def has_module(self, module: str) -> bool:
        """Whether it holds the module, `src.main`, in a form that Python can import."""
        base = module.replace(".", "/")
        suffixes = importlib.machinery.all_suffixes()
        stems = (base, f"{base}/__init__")
        return any(f"{stem}{suffix}" in self.importable for stem in stems for suffix in suffixes)

    def has_file(self, name: str) -> bool:
        return any(str(member.path) == name for member in self.members)

    def unpack(self, folder: Path) -> None:
        """Write every file below the existing folder.

        Raises `integrity` when the source is no longer what its digest was taken from.
        """
        lines = []
        for member in sorted(self.members, key=lambda each: each.link is not None):
            target = folder / member.path
            target.parent.mkdir(parents=True, exist_ok=True)
            if member.link is not None:
                target.symlink_to(member.link)
                lines.append(_line(member, member.link))
                continue
            handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file, member.content() as content:
                lines.append(_line(member, _copy(content, file)))
                os.fchmod(file.fileno(), member.mode & _KEPT_MODE | stat.S_IRUSR | stat.S_IWUSR)
        if _digest(lines) != self.digest:
            raise OperationError(
                Reason.INTEGRITY,
                f"copy {self.path}",
                "it changed while it was copied",
                "Run this again when nothing writes to it",
            )


@contextlib.contextmanager
def open_source(path: Path, module: str) -> Iterator[ReleaseSource]:
    """Read the source at `path`, of which `module` is the app's module.

    An archive may hold the folder's files or the folder itself. Raises `precondition` when there
    is nothing at the path or it may not be read, `invalid_input` for what cannot be a release,
    `integrity` for a damaged archive.
    """
    try:
        with contextlib.ExitStack() as opened:
            yield _read(path, module, opened)
    except (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise OperationError(
            Reason.INTEGRITY,
            f"read {path}",
            f"it is damaged or not what its name says: {error}",
            "Build or copy it again",
        ) from error


def _read(path: Path, module: str, opened: contextlib.ExitStack) -> ReleaseSource:
    """The source at the path; an archive stays open, as its members are read from it later."""
    try:
        if stat.S_ISDIR(path.stat().st_mode):
            return _source(path, _folder_members(path))
        if path.name.endswith((".tar.gz", ".tgz")):
            archive = opened.enter_context(tarfile.open(path, "r:gz"))  # noqa: SIM115
            return _source(path, _archive_members(path, archive, module.partition(".")[0]))
        if path.name.endswith(".whl"):
            return _wheel(path)
    except gzip.BadGzipFile:  # an OSError too, but it says that the archive is damaged
        raise
    except FileNotFoundError as error:
        raise OperationError(
            Reason.PRECONDITION,
            f"read {path}",
            "there is nothing at this path on the target",
            "Copy the release to the target first, or correct source",
        ) from error
    except OSError as error:
        raise OperationError(
            Reason.PRECONDITION,
            f"read {path}",
            f"{error.filename or path}: {(error.strerror or str(error)).lower()}",
            "Let this user read it, or run this as the user who may",
        ) from error
    raise _refused(path, "it is neither a folder nor a .tar.gz, .tgz or .whl file")


def _source(path: Path, members: list[Member]) -> ReleaseSource:
    seen: set[PurePosixPath] = set()
    for member in members:
        if str(member.path) in (RECORD, MARKER):
            raise _refused(path, f"its file {member.path} has a name that the collection uses")
        if member.link is not None and not _stays_inside(member.path, member.link):
            raise _refused(path, f"its link {member.path} leads out of it, to {member.link}")
        if member.path in seen:
            raise _refused(path, f"it holds {member.path} twice")
        seen.add(member.path)
    lines = [_line(member, member.link or _content_digest(member)) for member in members]
    return ReleaseSource(
        path, members, _digest(lines), frozenset(str(member.path) for member in members)
    )


def _wheel(path: Path) -> ReleaseSource:
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
        if damaged:
            raise zipfile.BadZipFile(f"checksum of {damaged}")
        importable = frozenset(_installed_path(name) for name in archive.namelist())
    member = Member(PurePosixPath(path.name), 0o644, None, lambda: path.open("rb"))
    digest = _digest([_line(member, _content_digest(member))])
    return ReleaseSource(path, [member], digest, importable, wheel=path.name)


def _installed_path(name: str) -> str:
    """Where a wheel's file goes below site-packages (binary distribution format, `.data`)."""
    head, _slash, rest = name.partition("/")
    if head.endswith(".data") and rest.startswith(("purelib/", "platlib/")):
        return rest.partition("/")[2]
    return name


def _folder_members(folder: Path) -> list[Member]:
    members = []
    for root, folders, files in os.walk(folder, onerror=_raise):
        here = PurePosixPath(Path(root).relative_to(folder).as_posix())
        folders[:] = sorted(name for name in folders if not _ignored(here / name))
        links = [name for name in folders if os.path.islink(os.path.join(root, name))]
        for name in sorted(files) + links:
            if not _ignored(here / name):
                members.append(_folder_member(folder, here / name))
    return members


def _folder_member(folder: Path, relative: PurePosixPath) -> Member:
    path = folder / relative
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return Member(relative, 0, os.readlink(path), lambda: path.open("rb"))
    if not stat.S_ISREG(mode):
        raise _refused(folder, f"{relative} is a device, pipe or socket")
    return Member(relative, mode, None, lambda: path.open("rb"))


def _archive_members(path: Path, archive: tarfile.TarFile, package: str) -> list[Member]:
    entries = [(_archive_path(path, entry), entry) for entry in archive.getmembers()]
    outer = _outer_folder([name for name, entry in entries if not entry.isdir()], package)
    members = []
    for name, entry in entries:
        if entry.isdir():
            continue
        relative = name.relative_to(outer) if outer else name
        if _ignored(relative):
            continue
        if not (entry.isfile() or entry.issym() or entry.islnk()):
            raise _refused(path, f"{name} is a device, pipe or socket")
        link = entry.linkname if entry.issym() else None
        members.append(Member(relative, entry.mode, link, _reader(archive, entry)))
    return members


def _archive_path(path: Path, entry: tarfile.TarInfo) -> PurePosixPath:
    name = PurePosixPath(entry.name)
    if name.is_absolute() or ".." in name.parts:
        raise _refused(path, f"its member {entry.name} leads out of it")
    return name


def _outer_folder(names: list[PurePosixPath], package: str) -> str | None:
    """The one folder around everything, unless that is the app's own package."""
    tops = {name.parts[0] for name in names if name.parts}
    if len(tops) != 1 or any(len(name.parts) < 2 for name in names):
        return None
    (top,) = tops
    return None if top == package else top


def _reader(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> Callable[[], IO[bytes]]:
    def content() -> IO[bytes]:
        try:
            file = archive.extractfile(entry)
        except KeyError as error:  # a hard link to a member that is not there
            raise tarfile.ReadError(str(error)) from error
        if file is None:
            raise tarfile.ReadError(f"{entry.name} has no content")
        return file

    return content


def _ignored(path: PurePosixPath) -> bool:
    parts = path.parts
    return bool(parts) and (parts[0] in _IGNORED_AT_TOP or not _IGNORED_ANYWHERE.isdisjoint(parts))


def _stays_inside(path: PurePosixPath, target: str) -> bool:
    """Whether a link's target is below the top: `..` only in front, and no more than its depth.

    The folders above a link are real ones, so its leading `..` mean what they say; and what
    follows can pass only links that obey the same rule.
    """
    parts = PurePosixPath(target).parts
    ups = next((n for n, part in enumerate(parts) if part != ".."), len(parts))
    return (
        not PurePosixPath(target).is_absolute()
        and ".." not in parts[ups:]
        and ups <= len(path.parent.parts)
    )


def _line(member: Member, content: str) -> str:
    """A member's part of the digest; of its mode only what survives another user's umask."""
    kind = "link" if member.link is not None else "x" if member.mode & stat.S_IXUSR else "-"
    return f"{member.path}\0{kind}\0{content}"


def _digest(lines: list[str]) -> str:
    text = "\n".join(sorted(lines))
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _content_digest(member: Member) -> str:
    with member.content() as content:
        return _copy(content, None)


def _copy(content: IO[bytes], target: IO[bytes] | None) -> str:
    """The content's SHA-256, written to the target on the way if there is one."""
    digest = hashlib.sha256()
    while True:
        chunk = content.read(_CHUNK)
        if not chunk:
            return digest.hexdigest()
        digest.update(chunk)
        if target is not None:
            target.write(chunk)


def _refused(path: Path, seen: str) -> OperationError:
    return OperationError(
        Reason.INVALID_INPUT,
        f"use {path} as the source of a release",
        seen,
        "Give a folder, a .tar.gz of one, or a wheel, holding plain files and links within",
    )


def _raise(error: OSError) -> None:
    raise error
