# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder as a repository: what is on the disk at each moment, and what its faults are called."""

from __future__ import annotations

import errno
import os
import stat

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.errors import (
    OperationError,
    Reason,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.repository import (
    NoSuchObject,
    file_repository,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.repository.file_repository import (
    FileRepository,
)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "backups"


@pytest.fixture
def repository(folder):
    return FileRepository(folder)


def files(folder):
    return sorted(
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.name != ".lock"
    )


def test_objects_are_private(repository, folder):
    upload = repository.upload("sets/one/data")
    upload.write(b"1")
    upload.commit()
    assert stat.S_IMODE((folder / "sets/one/data").stat().st_mode) == 0o600
    assert stat.S_IMODE((folder / "sets/one").stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_an_upload_is_a_hidden_file_until_it_is_committed(repository, folder):
    upload = repository.upload("data")
    upload.write(b"1")
    (hidden,) = files(folder)
    assert hidden.startswith(".")
    assert list(repository.list()) == []
    upload.commit()
    assert files(folder) == ["data"]


def test_the_bytes_are_on_disk_before_the_object_appears(repository, folder, monkeypatch):
    seen = []
    real = os.fsync

    def fsync(handle):
        seen.append((folder / "data").exists())
        real(handle)

    monkeypatch.setattr(file_repository.os, "fsync", fsync)
    upload = repository.upload("data")
    upload.write(b"1")
    upload.commit()
    assert seen == [False, True]  # the file's bytes, then the folder that names it


def test_a_folder_without_objects_is_gone(repository, folder):
    for key in ("sets/one/data", "sets/two/data"):
        repository.write(key, b"1")
    repository.delete(["sets/one/data"])
    assert files(folder) == ["sets", "sets/two", "sets/two/data"]
    repository.upload("sets/three/data")
    assert list(repository.list_folders("sets/")) == ["two"]
    repository.delete(["sets/two/data"])
    assert list(repository.list_folders("")) == []


def test_hidden_files_of_others_are_left_alone(repository, folder):
    repository.write("a/b", b"1")
    (folder / "a/.nfs0001").write_bytes(b"")
    repository.upload("a/c")
    assert repository.abort_uploads("") == 1
    assert files(folder) == ["a", "a/.nfs0001", "a/b"]


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_a_full_disk_says_how_much_is_free_and_leaves_nothing(
    repository, folder, monkeypatch, step
):
    def full(*_arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    upload = repository.upload("data")
    monkeypatch.setattr(file_repository.os, step, full)

    def store():
        upload.write(b"1")
        upload.commit()

    with pytest.raises(OperationError, match=r"No space left on device, with .* free") as caught:
        store()
    assert caught.value.reason is Reason.BUDGET
    upload.abort()
    assert files(folder) == []


def test_a_quota_is_a_budget_too(repository, monkeypatch):
    upload = repository.upload("data")

    def exceeded(*_arguments):
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr(file_repository.os, "write", exceeded)
    with pytest.raises(OperationError) as caught:
        upload.write(b"1")
    assert caught.value.reason is Reason.BUDGET


def test_a_disk_that_fails_is_unreachable(repository, monkeypatch):
    repository.write("data", b"1")

    def broken(*_arguments):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(file_repository.os, "pread", broken)
    with repository.open("data") as reader, pytest.raises(OperationError) as caught:
        reader.read(1)
    assert caught.value.reason is Reason.UNREACHABLE


@pytest.mark.parametrize(
    "use",
    [
        lambda repository: repository.write("a", b"1"),
        lambda repository: repository.upload("a"),
        lambda repository: repository.delete(["a"]),
        lambda repository: list(repository.list()),
        lambda repository: list(repository.list_folders("")),
        lambda repository: repository.read("a"),
        lambda repository: repository.open("a").__enter__(),
    ],
    ids=["write", "upload", "delete", "list", "list_folders", "read", "open"],
)
def test_a_file_in_the_way_is_a_precondition_that_names_the_repository(tmp_path, use):
    (tmp_path / "backups").write_text("")
    repository = FileRepository(tmp_path / "backups")
    with pytest.raises(OperationError, match=str(tmp_path / "backups")) as caught:
        use(repository)
    assert caught.value.reason is Reason.PRECONDITION


def test_a_folder_that_may_not_be_written_is_a_precondition(repository, folder, monkeypatch):
    def refused(*_arguments, **_options):
        raise PermissionError(errno.EACCES, "Permission denied", str(folder))

    monkeypatch.setattr(file_repository.tempfile, "mkstemp", refused)
    with pytest.raises(OperationError, match=r"Permission denied.*this user can write") as caught:
        repository.upload("a")
    assert caught.value.reason is Reason.PRECONDITION


def test_a_folder_in_the_place_of_an_object_is_told(repository):
    repository.write("a/b", b"1")
    with pytest.raises(OperationError, match="Is a directory"):
        repository.read("a")


def test_an_object_removed_while_it_is_read_is_read_to_its_end(repository):
    repository.write("a", b"12")
    with repository.open("a") as reader:
        repository.delete(["a"])
        assert reader.read(10) == b"12"
    with pytest.raises(NoSuchObject):
        repository.read("a")
