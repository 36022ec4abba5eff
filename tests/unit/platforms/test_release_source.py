# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A release's source: one digest for one content, and nothing in it reaches outside."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.errors import (
    OperationError,
    Reason,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.host import (
    release_source,
)

MODULE = "src.main"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A source as it lies in a checkout."""
    root = tmp_path / "cost-agent"
    write(root / "src" / "main.py", "app = 1\n")
    write(root / "src" / "__init__.py", "")
    write(root / "requirements.txt", "fastapi\n")
    write(root / "start.sh", "#!/bin/sh\n").chmod(0o755)
    return root


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def archive(path: Path, folder: Path, inside: str) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        tar.add(folder, arcname=inside)
    return path


def archive_of(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(b"x" * member.size))
    return path


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.mode = kind, link, 0o644
    member.size = 1 if kind == tarfile.REGTYPE else 0
    return member


def digest(path: Path) -> str:
    with release_source.open_source(path, MODULE) as source:
        return source.digest


def refusal(path: Path) -> OperationError:
    with pytest.raises(OperationError) as caught, release_source.open_source(path, MODULE):
        pass
    return caught.value


# --- digest -----------------------------------------------------------------------------------


@pytest.mark.parametrize("inside", [".", "cost-agent-1.4.2"])
def test_an_archive_of_a_folder_is_the_same_release(folder: Path, inside: str) -> None:
    packed = archive(folder.with_name("release.tar.gz"), folder, inside)
    assert digest(packed) == digest(folder)


def test_a_folder_around_the_app_is_not_taken_for_the_app(folder: Path) -> None:
    for name in ("requirements.txt", "start.sh"):
        (folder / name).unlink()
    packed = archive(folder.with_name("release.tgz"), folder / "src", "src")
    with release_source.open_source(packed, MODULE) as source:
        assert source.has_module(MODULE)


@pytest.mark.parametrize(
    "name", ["src/__pycache__/main.cpython-39.pyc", ".git/HEAD", "venv/bin/python", ".venv/x"]
)
def test_what_tools_leave_behind_does_not_count(folder: Path, name: str) -> None:
    before = digest(folder)
    write(folder / name, "noise")
    assert digest(folder) == before


def test_another_umask_is_not_another_release(folder: Path) -> None:
    before = digest(folder)
    (folder / "src" / "main.py").chmod(0o664)
    assert digest(folder) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: write(folder / "src" / "main.py", "app = 2\n"),
        lambda folder: write(folder / "src" / "new.py", ""),
        lambda folder: (folder / "src" / "__init__.py").unlink(),
        lambda folder: (folder / "start.sh").rename(folder / "run.sh"),
        lambda folder: (folder / "start.sh").chmod(0o644),
        lambda folder: (folder / "latest").symlink_to("start.sh"),
    ],
    ids=["content", "new file", "file gone", "renamed", "not executable", "new link"],
)
def test_other_content_has_another_digest(folder: Path, change) -> None:
    before = digest(folder)
    change(folder)
    assert digest(folder) != before


# --- unpacking --------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [False, True])
def test_unpacks_files_modes_and_links(folder: Path, tmp_path: Path, packed: bool) -> None:
    (folder / "src" / "settings.py").symlink_to("../start.sh")
    (folder / "assets").symlink_to("src")
    (folder / "start.sh").chmod(0o4777)
    source_path = archive(tmp_path / "release.tar.gz", folder, ".") if packed else folder
    target = tmp_path / "target"
    target.mkdir()
    with release_source.open_source(source_path, MODULE) as source:
        source.unpack(target)
    assert (target / "src" / "main.py").read_text() == "app = 1\n"
    assert os.readlink(target / "src" / "settings.py") == "../start.sh"
    assert os.readlink(target / "assets") == "src"
    assert (target / "start.sh").stat().st_mode & 0o7777 == 0o755


def test_a_source_that_changes_while_it_is_copied_is_refused(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    with release_source.open_source(folder, MODULE) as source:
        write(folder / "src" / "main.py", "app = 2\n")
        with pytest.raises(OperationError) as caught:
            source.unpack(target)
    assert caught.value.reason is Reason.INTEGRITY


# --- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "members",
    [
        [entry("/etc/passwd")],
        [entry("../outside")],
        [entry("src/../../outside")],
        [entry("src/passwd", tarfile.SYMTYPE, "/etc/passwd")],
        [entry("src/up", tarfile.SYMTYPE, "../../etc")],
        [entry("a/b/up", tarfile.SYMTYPE, "../.."), entry("out", tarfile.SYMTYPE, "a/b/up/../x")],
        [entry("src/pipe", tarfile.FIFOTYPE)],
        [entry("src/disk", tarfile.BLKTYPE)],
        [entry("src/main.py"), entry("src/main.py")],
        [entry("release.json"), entry("src/main.py")],
        [entry("release.installing"), entry("src/main.py")],
    ],
    ids=lambda members: " ".join(member.name for member in members),
)
def test_refuses_an_archive_that_reaches_outside(
    tmp_path: Path, members: list[tarfile.TarInfo]
) -> None:
    packed = archive_of(tmp_path / "release.tar.gz", entry("src/main.py.bak"), *members)
    assert refusal(packed).reason is Reason.INVALID_INPUT


def test_writes_nothing_through_a_link(tmp_path: Path) -> None:
    packed = archive_of(
        tmp_path / "release.tar.gz",
        entry("src/here", tarfile.SYMTYPE, "elsewhere"),
        entry("src/here/main.py"),
    )
    target = tmp_path / "target"
    target.mkdir()
    with release_source.open_source(packed, MODULE) as source, pytest.raises(FileExistsError):
        source.unpack(target)
    assert not (target / "src" / "elsewhere").exists()


def test_refuses_a_pipe_in_a_folder_without_opening_it(folder: Path) -> None:
    os.mkfifo(folder / "src" / "pipe")
    assert refusal(folder).reason is Reason.INVALID_INPUT


@pytest.mark.parametrize("name", ["release.tar.gz", "release.tgz", "agent-1-py3-none-any.whl"])
@pytest.mark.parametrize("content", [b"", b"<html>404</html>", b"PK\x03\x04", b"\x1f\x8b\x08\x00"])
def test_damaged_archives_are_told_as_such(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert refusal(tmp_path / name).reason is Reason.INTEGRITY


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95])
def test_a_truncated_archive_is_damaged(folder: Path, tmp_path: Path, kept: float) -> None:
    (folder / "data.bin").write_bytes(os.urandom(50_000))
    packed = archive(tmp_path / "release.tar.gz", folder, ".")
    content = packed.read_bytes()
    packed.write_bytes(content[: int(len(content) * kept)])
    assert refusal(packed).reason is Reason.INTEGRITY


def test_a_wheel_with_a_flipped_bit_is_damaged(tmp_path: Path) -> None:
    wheel = tmp_path / "agent-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as content:
        content.writestr("src/main.py", "app = 1\n")
    wheel.write_bytes(wheel.read_bytes().replace(b"app = 1", b"app = 2"))
    assert refusal(wheel).reason is Reason.INTEGRITY


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("absent", Reason.PRECONDITION),
        ("absent.tar.gz", Reason.PRECONDITION),
        ("release.zip", Reason.INVALID_INPUT),
        ("main.py", Reason.INVALID_INPUT),
    ],
)
def test_refuses_what_is_no_release(tmp_path: Path, name: str, reason: Reason) -> None:
    if not name.startswith("absent"):
        (tmp_path / name).write_text("x")
    assert refusal(tmp_path / name).reason is reason


# --- the app in it ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "there"),
    [
        ("src.main", True),
        ("src", True),
        ("src.mai", False),
        ("main", False),
        ("requirements", False),
    ],
)
def test_knows_the_modules_in_a_folder(folder: Path, module: str, there: bool) -> None:
    with release_source.open_source(folder, module) as source:
        assert source.has_module(module) is there


@pytest.mark.parametrize("prefix", ["", "agent-1.0.data/purelib/"])
def test_knows_the_modules_in_a_wheel(tmp_path: Path, prefix: str) -> None:
    wheel = tmp_path / "agent-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as content:
        content.writestr(f"{prefix}src/main.py", "app = 1\n")
    with release_source.open_source(wheel, MODULE) as source:
        assert source.has_module(MODULE)
        assert not source.has_module("agent.main")
