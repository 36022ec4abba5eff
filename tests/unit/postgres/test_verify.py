# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""postgres_backup_verify: every kind of damage is found, named and recorded."""

from __future__ import annotations

from dataclasses import replace

import pyrage
import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.context import Context
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.errors import (
    OperationError,
    Reason,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.operation import execute
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres import (
    postgres_backup_verify as area,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.sets.catalog import (
    list_backups,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.sets.layout import (
    started_at,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.sets.manifest import (
    render,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.sets.proofs import (
    DRILL,
    read_proof,
    record_proof,
)
from ansible_collections.optiinfra.cost_agent.tests.component.many_sets import (
    LAYOUT,
    backup_id,
    make_sets,
    small_set,
    store,
)
from ansible_collections.optiinfra.cost_agent.tests.unit.postgres.fake_repository import (
    FakeRepository,
    StandingClock,
)

OLD, NEW = backup_id("2025-01-22 02:00"), backup_id("2025-01-23 02:00")
NOW = started_at(NEW) + 3600
CLOCK = StandingClock(NOW)
KEY = pyrage.x25519.Identity.generate()
SPEC = area.POSTGRES_BACKUP_VERIFY.argument_spec


@pytest.fixture
def repository(monkeypatch):
    made = FakeRepository()
    monkeypatch.setattr(area, "open_repository", lambda params, clock: made)
    return made


@pytest.fixture
def stored(repository):
    """The manifest of one finished backup."""
    return store(repository, *small_set(NEW))


def verify(check_mode=False, **options):
    params = {name: spec.get("default") for name, spec in SPEC.items()}
    params.update(repository="s3://backups", **options)
    return execute(area.POSTGRES_BACKUP_VERIFY, params, Context(check_mode=check_mode, clock=CLOCK))


def problems(outcome):
    return [
        (each["object"].rpartition("/")[2], each["file"], each["seen"])
        for backup in outcome["state"]["backups"]
        for each in backup["problems"]
    ]


def change(repository, name, change_data):
    key = LAYOUT.set(NEW) + name
    repository.write(key, change_data(repository.read(key).data))


def flip(at):
    def damage(data):
        changed = bytearray(data)
        changed[at] ^= 0x40
        return bytes(changed)

    return damage


def test_a_whole_backup_is_recorded_as_such(repository, stored):
    outcome = verify()
    assert not outcome.get("failed"), outcome
    assert outcome["changed"] is True
    assert outcome["actions"] == [f"recorded that {NEW} is whole"]
    assert outcome["state"]["read_bytes"] == stored.size
    assert outcome["state"]["backups"][0]["opened"] is True
    (listed,) = list_backups(repository, LAYOUT, NOW)
    assert (listed.verified, listed.verified_at) == ("ok", "2025-01-23T03:00:00Z")


def test_a_second_run_finds_the_same_and_is_no_change(repository, stored):
    verify()
    assert verify()["changed"] is False


def test_each_object_is_read_once(repository, stored):
    verify()
    assert repository.requests["open"] == len(stored.objects)


@pytest.mark.parametrize("at", [0, 5, 100, -1])
def test_a_flipped_bit_names_the_file_and_no_other(repository, stored, at):
    change(repository, "3403.zst", flip(at))
    outcome = verify()
    assert outcome["reason"] == "integrity"
    assert problems(outcome) == [("3403.zst", "3403.dat", "its SHA-256 is not the manifest's")]
    assert f"{LAYOUT.set(NEW)}3403.zst" in outcome["msg"]


def test_a_flipped_bit_in_a_bundle_names_the_one_file_that_it_is_in(repository, stored):
    toc = next(file for file in stored.files if file.name == "3401.dat")
    change(repository, "bundle-0", flip(toc.offset + toc.size - 1))
    assert [each[1] for each in problems(verify())] == ["3401.dat"]


def test_a_missing_object(repository, stored):
    repository.delete([LAYOUT.set(NEW) + "bundle-0"])
    assert problems(verify()) == [("bundle-0", None, "it is not there")]


def test_an_object_that_goes_while_it_is_verified(repository, stored):
    def lose(kind, key):
        if kind == "open":
            repository.objects.pop(LAYOUT.set(NEW) + "3403.zst", None)

    repository.before = lose
    assert ("3403.zst", None, "it is not there") in problems(verify())


def test_all_data_is_missing(repository, stored):
    repository.delete([LAYOUT.set(NEW) + name for name in stored.objects])
    assert [each[0] for each in problems(verify())] == ["3403.zst", "bundle-0"]


def test_a_truncated_object(repository, stored):
    change(repository, "3403.zst", lambda data: data[:-10])
    seen = {file: seen for _object, file, seen in problems(verify())}
    size = next(file.size for file in stored.files if file.name == "3403.dat")
    assert seen == {
        None: f"it has {size - 10} bytes, not {size}",
        "3403.dat": f"it has {size - 10} of {size} bytes",
    }


def test_an_object_that_is_too_long(repository, stored):
    change(repository, "bundle-0", lambda data: data + b"x")
    ((name, file, seen),) = problems(verify())
    assert (name, file) == ("bundle-0", None)
    assert "bytes, not" in seen


def moved(manifest, name, by):
    files = [
        replace(file, offset=file.offset + by) if file.name == name else file
        for file in manifest.files
    ]
    return replace(manifest, files=files)


@pytest.mark.parametrize(
    ("by", "words"), [(3, "belong to no file"), (-3, "overlaps the file before it")]
)
def test_extents_that_do_not_meet(repository, stored, by, words):
    repository.write(LAYOUT.manifest(NEW), render(moved(stored, "3401.dat", by)))
    assert any(words in seen for _object, _file, seen in problems(verify()))


def with_file(manifest, name, **changes):
    files = [replace(file, **changes) if file.name == name else file for file in manifest.files]
    return replace(manifest, files=files)


def test_a_file_that_opens_to_another_size_than_was_dumped(repository, stored):
    repository.write(LAYOUT.manifest(NEW), render(with_file(stored, "3401.dat", raw_size=7)))
    ((_object, file, seen),) = problems(verify())
    assert (file, seen) == ("3401.dat", "it gives 23 bytes where the dump had 7")


def test_a_table_with_other_rows_than_were_counted(repository, stored):
    tables = [replace(table, rows=4) if table.rows == 3 else table for table in stored.tables]
    repository.write(LAYOUT.manifest(NEW), render(replace(stored, tables=tables)))
    ((_object, file, seen),) = problems(verify())
    assert (file, seen) == ("3401.dat", "it has 3 rows where the table had 4")


def test_a_failure_is_recorded_and_keeps_the_drill(repository, stored):
    record_proof(repository, LAYOUT, NEW, DRILL, {"at": "2025-01-23T02:30:00Z", "ok": True})
    change(repository, "3403.zst", flip(0))
    outcome = verify()
    assert outcome["changed"] is True
    assert outcome["actions"] == [f"recorded that {NEW} is damaged"]
    proof = read_proof(repository, LAYOUT, NEW)
    assert proof.verified["ok"] is False
    assert proof.verified["problems"][0]["file"] == "3403.dat"
    assert proof.drill["ok"] is True
    assert list_backups(repository, LAYOUT, NOW)[0].is_good is False


def test_a_damaged_manifest_is_a_damaged_backup(repository, stored):
    repository.write(LAYOUT.manifest(NEW), render(stored)[:-100])
    outcome = verify()
    assert outcome["reason"] == "integrity"
    assert problems(outcome)[0][0] == f"{NEW}.json"
    assert read_proof(repository, LAYOUT, NEW).verified["ok"] is False


def test_a_failure_says_which_good_backup_there_is(repository, stored):
    make_sets(repository, [OLD])
    change(repository, "3403.zst", flip(0))
    assert verify()["msg"].endswith(f"until then {OLD} is the newest good one.")
    outcome = verify(backup="all")
    assert "1 of 2 are damaged" in outcome["msg"]


def test_a_failure_without_any_good_one_says_so(repository, stored):
    change(repository, "3403.zst", flip(0))
    assert verify()["msg"].endswith("Make a new backup now: there is no good one.")


def test_all_are_verified_also_behind_a_damaged_one(repository, stored):
    make_sets(repository, [OLD])
    change(repository, "3403.zst", flip(0))
    outcome = verify(backup="all")
    assert [(each["id"], each["ok"]) for each in outcome["state"]["backups"]] == [
        (NEW, False),
        (OLD, True),
    ]


def test_unverified_ones_are_those_without_a_record(repository, stored):
    make_sets(repository, [OLD])
    verify(backup=OLD)
    outcome = verify(backup="unverified")
    assert [each["id"] for each in outcome["state"]["backups"]] == [NEW]
    outcome = verify(backup="unverified")
    assert (outcome["changed"], outcome["summary"]) == (False, "nothing to verify")


def test_check_mode_reads_no_data_and_records_nothing(repository, stored):
    before = dict(repository.objects)
    outcome = verify(check_mode=True)
    assert outcome["state"]["would_verify"] == [NEW]
    assert outcome["actions"] == [f"would verify backup {NEW}"]
    assert outcome["changed"] is True
    assert repository.requests["open"] == 0
    assert repository.objects == before
    verify()
    assert verify(check_mode=True)["changed"] is False


def test_a_store_that_does_not_answer_is_no_damage(repository, stored):
    def hang_up(kind, key):
        if kind == "open":
            raise OperationError(Reason.UNREACHABLE, "read", "it hung up", "Look at it")

    repository.before = hang_up
    assert verify()["reason"] == "unreachable"
    assert read_proof(repository, LAYOUT, NEW).verified is None


def test_a_backup_that_is_pruned_while_it_is_verified_is_not_damaged(repository, stored):
    def prune(kind, key):
        if kind == "open":
            repository.before = lambda kind, key: None
            repository.delete(
                [LAYOUT.manifest(NEW), *(f"{LAYOUT.set(NEW)}{name}" for name in stored.objects)]
            )

    repository.before = prune
    outcome = verify(jobs=1)
    assert not outcome.get("failed")
    assert outcome["state"]["removed_meanwhile"] == [NEW]
    assert not [key for key in repository.objects if NEW in key]


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [("latest", "precondition"), (NEW, "precondition"), ("newest", "invalid_input")],
)
def test_there_is_no_such_backup(repository, wanted, reason):
    assert verify(backup=wanted)["reason"] == reason


@pytest.mark.parametrize("jobs", [0, 33, -1])
def test_jobs_out_of_range(repository, jobs):
    assert verify(jobs=jobs)["reason"] == "invalid_input"


# --- encrypted --------------------------------------------------------------------------------


@pytest.fixture
def encrypted(repository):
    return store(repository, *small_set(NEW, [str(KEY.to_public())]))


def test_without_the_key_an_encrypted_backup_is_compared_as_it_is_stored(repository, encrypted):
    outcome = verify()
    assert outcome["state"]["backups"][0]["opened"] is False
    assert outcome["actions"] == [
        f"recorded that {NEW} is whole, without opening its encrypted files"
    ]
    change(repository, "3403.zst", flip(2000))
    assert problems(verify()) == [("3403.zst", "3403.dat", "its SHA-256 is not the manifest's")]


def test_with_the_key_it_is_opened(repository, encrypted, tmp_path):
    tables = [replace(table, rows=4) if table.rows == 3 else table for table in encrypted.tables]
    repository.write(LAYOUT.manifest(NEW), render(replace(encrypted, tables=tables)))
    file = tmp_path / "key"
    file.write_text(f"# comment\n{KEY}\n")
    assert verify()["state"]["backups"][0]["ok"] is True
    assert [each[1] for each in problems(verify(identity=str(KEY)))] == ["3401.dat"]
    assert [each[1] for each in problems(verify(identity_file=str(file)))] == ["3401.dat"]


def test_with_another_key_nothing_is_recorded_and_the_key_is_nowhere(repository, encrypted):
    other = str(pyrage.x25519.Identity.generate())
    outcome = verify(identity=other)
    assert outcome["reason"] == "auth"
    assert other not in str(outcome)
    assert read_proof(repository, LAYOUT, NEW).verified is None


def test_a_key_that_is_none(repository, encrypted, tmp_path):
    assert verify(identity="hunter2-hunter2")["reason"] == "invalid_input"
    assert verify(identity_file=str(tmp_path / "missing"))["reason"] == "invalid_input"
