# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every kind of repository does alike: a folder, SeaweedFS and moto."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.clock import SystemClock
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.deadline import Deadline
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.errors import (
    OperationError,
    Reason,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.lock import Holder, hold
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.process_identity import (
    identify,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.state_store import (
    ABSENT,
    StateStore,
    VersionConflict,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.repository import (
    MIN_PART,
    NoSuchObject,
    Repository,
    open_repository,
    open_state_store,
    state_store_of,
)

from tests.component.s3_servers import S3Server, moto, seaweedfs

CLOCK = SystemClock()
PART = os.urandom(MIN_PART)


@pytest.fixture(scope="module")
def servers(tmp_path_factory) -> Iterator[dict[str, S3Server]]:
    with seaweedfs(tmp_path_factory.mktemp("s3")) as first, moto() as second:
        yield {"seaweedfs": first, "moto": second}


@pytest.fixture(params=["file", "seaweedfs", "moto"])
def options(request, servers, tmp_path) -> dict[str, Any]:
    """The options of an empty repository."""
    if request.param == "file":
        return {"repository": f"file://{tmp_path}/backups", "s3": None}
    server = servers[request.param]
    place = f"{request.node.name.partition('[')[0]}-{time.monotonic_ns()}"
    return {"repository": f"s3://{server.bucket}/a b/{place}", "s3": server.s3}


@pytest.fixture
def repository(options) -> Iterator[Repository]:
    with closing(open_repository(options, CLOCK)) as opened:
        yield opened


def store(repository: Repository, key: str, *parts: bytes) -> None:
    upload = repository.upload(key)
    for part in parts:
        upload.write(part)
    upload.commit()


def content(repository: Repository, key: str, *extent: int, step: int = 1 << 20) -> bytes:
    with repository.open(key, *extent) as reader:
        pieces = []
        while piece := reader.read(step):
            pieces.append(piece)
    return b"".join(pieces)


def keys(repository: Repository, prefix: str = "") -> list[str]:
    return [each.key for each in repository.list(prefix)]


# --- small objects ----------------------------------------------------------------------------


def test_what_was_written_is_read(repository):
    version = repository.write("a/b.json", b"{}")
    entry = repository.read("a/b.json")
    assert (entry.data, entry.version) == (b"{}", version)


def test_what_is_not_there_is_told(repository):
    with pytest.raises(NoSuchObject):
        repository.read("a/b")
    with pytest.raises(NoSuchObject), repository.open("a/b"):
        pass
    assert keys(repository) == []
    assert list(repository.list_folders("")) == []
    assert repository.protection_of("a/b") == ""
    assert repository.abort_uploads("") == 0


def test_creating_what_exists_conflicts_and_changes_nothing(repository):
    repository.write("a", b"1", expect=ABSENT)
    with pytest.raises(VersionConflict):
        repository.write("a", b"2", expect=ABSENT)
    assert repository.read("a").data == b"1"


def test_replacing_needs_the_version_that_is_there(repository):
    old = repository.write("a", b"1")
    new = repository.write("a", b"2", expect=old)
    with pytest.raises(VersionConflict):
        repository.write("a", b"3", expect=old)
    with pytest.raises(VersionConflict):
        repository.delete_version("a", old)
    assert repository.read("a").data == b"2"
    repository.delete_version("a", new)
    with pytest.raises(VersionConflict):
        repository.write("a", b"4", expect=new)
    assert keys(repository) == []


# --- large objects ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "parts",
    [[], [b""], [b"small"], [PART], [PART, b"rest"], [PART, PART, PART, PART, PART, b"x"]],
    ids=["nothing", "empty", "small", "one", "two", "many"],
)
def test_an_upload_is_read_back(repository, parts):
    store(repository, "set/data", *parts)
    assert content(repository, "set/data") == b"".join(parts)
    (listed,) = repository.list()
    assert listed.size == sum(map(len, parts))
    assert abs(listed.modified_at - time.time()) < 60


@pytest.mark.parametrize(
    ("extent", "start", "end"),
    [
        ((0, 10), 0, 10),
        ((100, 1000), 100, 1100),
        ((5,), 5, 2000),
        ((1990, 100), 1990, 2000),
        ((2000,), 2000, 2000),
        ((5000, 10), 2000, 2000),
        ((7, 0), 7, 7),
    ],
)
def test_a_part_of_an_object_is_read(repository, extent, start, end):
    store(repository, "a", PART[:2000])
    assert content(repository, "a", *extent) == PART[start:end]


def test_many_parts_of_one_object_are_read_in_turn(repository):
    store(repository, "a", PART)
    with repository.open("a", 0, 100) as one, repository.open("a", 100, 100) as other:
        assert one.read(60) + other.read(60) + one.read(60) + other.read(60) == (
            PART[:60] + PART[100:160] + PART[60:100] + PART[160:200]
        )


def test_a_reader_that_stops_early_leaves_the_repository_usable(repository):
    store(repository, "a", PART)
    for _time in range(40):  # more often than there are connections
        with repository.open("a") as reader:
            assert reader.read(10) == PART[:10]
    assert repository.read("a").data == PART


def test_nobody_sees_an_upload_before_it_is_committed(repository):
    upload = repository.upload("set/data")
    upload.write(PART)
    upload.write(b"rest")
    assert keys(repository) == []
    with pytest.raises(NoSuchObject):
        repository.read("set/data")
    upload.commit()
    assert keys(repository) == ["set/data"]


def test_an_upload_replaces_what_was_there(repository):
    store(repository, "a", b"old")
    (before,) = repository.list()
    store(repository, "a", b"new!")
    (after,) = repository.list()
    assert repository.read("a").data == b"new!"
    assert before.version != after.version


@pytest.mark.parametrize("parts", [[], [b"small"], [PART, PART]])
def test_an_aborted_upload_leaves_nothing(repository, parts):
    upload = repository.upload("set/data")
    for part in parts:
        upload.write(part)
    upload.abort()
    assert keys(repository) == []
    assert repository.abort_uploads("") == 0
    with pytest.raises((OperationError, AssertionError)):
        upload.write(b"more")


def test_abort_does_nothing_after_commit(repository):
    upload = repository.upload("a")
    upload.write(PART)
    upload.commit()
    upload.abort()
    assert keys(repository) == ["a"]


def test_what_a_killed_run_left_is_cleaned_up_below_its_folder_only(repository):
    for key in ("sets/one/data", "sets/two/data", "other/data"):
        repository.upload(key).write(PART)
    assert repository.unfinished_uploads("sets/") == 2
    assert repository.abort_uploads("sets/") == 2
    assert repository.unfinished_uploads("sets/") == 0
    assert repository.abort_uploads("sets/") == 0
    assert repository.abort_uploads("") == 1


# --- folders ----------------------------------------------------------------------------------


def test_objects_are_listed_by_key_below_a_prefix(repository):
    for key in ("b/2", "b/10", "a", "b-c", "b/é ü/%2E", "c/d/e"):
        repository.write(key, b"1")
    everything = ["a", "b-c", "b/10", "b/2", "b/é ü/%2E", "c/d/e"]
    assert keys(repository) == everything
    assert keys(repository, "b/") == ["b/10", "b/2", "b/é ü/%2E"]
    assert keys(repository, "b/1") == ["b/10"]
    assert keys(repository, "b") == ["b-c", "b/10", "b/2", "b/é ü/%2E"]
    assert keys(repository, "nothing/") == []
    assert list(repository.list_folders("")) == ["b", "c"]
    assert list(repository.list_folders("b/")) == ["é ü"]


@pytest.mark.slow
def test_more_objects_than_a_page_are_listed_and_deleted(options):
    with closing(open_repository(options, CLOCK)) as repository:
        names = [f"many/{number:04}/x" for number in range(1005)]
        for name in names:
            repository.write(name, b"")
        assert keys(repository) == names
        assert len(list(repository.list_folders("many/"))) == 1005
        assert repository.delete([*names, "missing"]) == 1006
        assert keys(repository) == []


def test_another_repository_in_the_same_bucket_is_not_seen(options):
    beside = {**options, "repository": options["repository"] + "-beside"}
    one, other = open_repository(options, CLOCK), open_repository(beside, CLOCK)
    with closing(one), closing(other):
        one.write("a", b"1")
        other.upload("b").write(PART)
        assert keys(other) == []
        assert one.abort_uploads("") == 0
        assert other.abort_uploads("") == 1


# --- protection -------------------------------------------------------------------------------


@pytest.fixture
def locked(servers) -> Iterator[tuple[Repository, Any, dict[str, str]]]:
    server = servers["moto"]
    options = {"repository": f"s3://{server.bucket}/locks", "s3": server.s3}
    with closing(open_repository(options, CLOCK)) as repository:
        version = repository.write("held", b"1")
        assert version
        yield repository, server.client(), {"Bucket": server.bucket, "Key": "locks/held"}


def test_a_legal_hold_is_told(locked):
    repository, client, place = locked
    client.put_object_legal_hold(**place, LegalHold={"Status": "ON"})
    assert repository.protection_of("held") == "a legal hold"
    client.put_object_legal_hold(**place, LegalHold={"Status": "OFF"})
    assert repository.protection_of("held") == ""


def test_an_object_lock_is_told_until_it_has_ended(locked):
    repository, client, place = locked
    until = datetime.now(UTC) + timedelta(days=3)
    client.put_object_retention(**place, Retention={"Mode": "GOVERNANCE", "RetainUntilDate": until})
    assert repository.protection_of("held") == f"an object lock until {until:%Y-%m-%dT%H:%M:%SZ}"


# --- the state store on top -------------------------------------------------------------------


@pytest.fixture
def state(repository) -> StateStore:
    return state_store_of(repository)


def test_entries_are_kept_by_version(state):
    version = state.write("intent/agent", b"started", expect=ABSENT)
    entry = state.read("intent/agent")
    assert (entry.data, entry.version) == (b"started", version)
    with pytest.raises(VersionConflict):
        state.write("intent/agent", b"stopped", expect=ABSENT)
    newer = state.write("intent/agent", b"stopped", expect=version)
    with pytest.raises(VersionConflict):
        state.delete("intent/agent", expect=version)
    state.delete("intent/agent", expect=newer)
    assert state.read("intent/agent") is None
    state.delete("intent/agent")


def test_entries_are_listed_below_a_prefix(state):
    for key in ("history/b", "history/a", "history-old/x", "locks/x"):
        state.write(key, b"1")
    assert state.list("history") == ["history/a", "history/b"]
    assert state.list("") == ["history-old/x", "history/a", "history/b", "locks/x"]


HOLDER = """
import sys, time
from contextlib import closing
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.clock import SystemClock
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.deadline import Deadline
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.lock import hold
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.repository import (
    open_repository, state_store_of
)
import json
options, work = json.loads(sys.argv[1]), sys.argv[2]
clock = SystemClock()
with closing(open_repository(options, clock)) as repository:
    state = state_store_of(repository)
    if work == "die":
        with hold(state, "agent", "backup", Deadline(clock, 60), clock):
            print("held", flush=True)
            time.sleep(60)
    for _time in range(int(work)):
        with hold(state, "agent", "count", Deadline(clock, 60), clock):
            entry = state.read("count")
            state.write("count", str(int(entry.data if entry else 0) + 1).encode())
"""


def run_holder(options: dict[str, Any], work: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, json.dumps(options), work],
        stdout=subprocess.PIPE,
        text=True,
    )


def test_two_processes_never_hold_a_lock_at_once(options, state):
    with run_holder(options, "15") as one, run_holder(options, "15") as other:
        assert (one.wait(), other.wait()) == (0, 0)
    assert state.read("count").data == b"30"
    assert state.list("locks") == []


def test_a_holder_is_named_and_a_killed_one_loses_the_lock_at_once(options, state):
    with run_holder(options, "die") as process:
        try:
            assert process.stdout.readline() == "held\n"
            prune = hold(state, "agent", "prune", Deadline(CLOCK, 0), CLOCK)
            with pytest.raises(OperationError, match=f"pid {process.pid} on") as caught:
                prune.__enter__()
            assert caught.value.reason is Reason.LOCKED
        finally:
            process.kill()
            process.wait()
    with hold(state, "agent", "prune", Deadline(CLOCK, 0), CLOCK):
        assert json.loads(state.read("locks/agent").data)["purpose"] == "prune"


def test_an_expired_lock_of_another_machine_is_taken_over(state):
    me = identify(os.getpid())
    gone = Holder("backup", 1, me.start_time, "elsewhere", 0.0, time.time() - 1, "token")
    state.write("locks/agent", json.dumps(asdict(gone)).encode())
    with hold(state, "agent", "prune", Deadline(CLOCK, 0), CLOCK):
        assert json.loads(state.read("locks/agent").data)["purpose"] == "prune"


def test_the_state_store_in_s3_takes_its_settings_from_the_environment(servers, monkeypatch):
    server = servers["seaweedfs"]
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    state = open_state_store(f"s3://{server.bucket}/state")
    state.write("a/b", b"1")
    assert state.list("a") == ["a/b"]
