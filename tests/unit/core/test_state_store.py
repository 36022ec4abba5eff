# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state store on a folder: atomic, conditional, private."""

from __future__ import annotations

import os
import stat

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core import state_store
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.errors import (
    OperationError,
    Reason,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.state_store import (
    ABSENT,
    FileStateStore,
    VersionConflict,
)


@pytest.fixture
def store(tmp_path):
    return FileStateStore(tmp_path / "state")


def test_what_was_written_is_read(store):
    version = store.write("intent/agent", b"started")
    entry = store.read("intent/agent")
    assert (entry.data, entry.version) == (b"started", version)


def test_an_absent_entry_reads_as_none(store):
    assert store.read("intent/agent") is None
    assert store.list("intent") == []


def test_creating_what_exists_conflicts_and_changes_nothing(store):
    store.write("a", b"1", expect=ABSENT)
    with pytest.raises(VersionConflict):
        store.write("a", b"2", expect=ABSENT)
    assert store.read("a").data == b"1"


def test_replacing_an_older_version_conflicts(store):
    old = store.write("a", b"1")
    store.write("a", b"2")
    with pytest.raises(VersionConflict):
        store.write("a", b"3", expect=old)
    with pytest.raises(VersionConflict):
        store.delete("a", expect=old)
    assert store.read("a").data == b"2"


def test_deleting_twice_is_fine(store):
    store.write("a", b"1")
    store.delete("a")
    store.delete("a")
    assert store.read("a") is None


def test_keys_are_listed_below_a_prefix(store):
    for key in ("history/b", "history/a", "locks/x"):
        store.write(key, b"")
    assert store.list("history") == ["history/a", "history/b"]
    assert store.list("") == ["history/a", "history/b", "locks/x"]


def test_entries_are_private(store, tmp_path):
    store.write("a/b", b"1")
    assert stat.S_IMODE(os.stat(tmp_path / "state/a/b").st_mode) == 0o600
    assert stat.S_IMODE(os.stat(tmp_path / "state").st_mode) == 0o700


def test_a_write_that_fails_leaves_the_old_entry_and_no_trace(store, tmp_path, monkeypatch):
    store.write("a", b"old")

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(state_store.os, "fsync", full)
    with pytest.raises(OperationError, match=r"No space left on device, with .* free") as caught:
        store.write("a", b"new")
    assert caught.value.reason is Reason.BUDGET
    assert store.read("a").data == b"old"
    assert sorted(p.name for p in (tmp_path / "state").iterdir()) == [".lock", "a"]


@pytest.mark.parametrize("key", ["", "/etc/passwd", "../x", "a//b", "a/./b"])
def test_keys_do_not_leave_the_folder(store, key):
    with pytest.raises(ValueError, match="not a state store key"):
        store.write(key, b"")


def test_a_folder_in_the_way_is_a_precondition(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OperationError) as caught:
        FileStateStore(tmp_path / "file" / "state").write("a", b"1")
    assert caught.value.reason is Reason.PRECONDITION
