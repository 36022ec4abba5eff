# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of backups, its cache, and finding one."""

from __future__ import annotations

import json

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.errors import (
    OperationError,
    Reason,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.state_store import (
    VersionConflict,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.sets.catalog import (
    find_backup,
    list_backups,
    update_catalog,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.sets.layout import (
    Layout,
    started_at,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.sets.proofs import (
    DRILL,
    VERIFIED,
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
)

OLD, NEW = backup_id("2025-01-22 02:00"), backup_id("2025-01-23 02:00")
NOW = started_at(NEW) + 3600
WHOLE = {"at": "2025-01-23T03:00:00Z", "ok": True}
DAMAGED = {"at": "2025-01-23T03:00:00Z", "ok": False}


@pytest.fixture
def repository():
    """Two finished backups."""
    made = FakeRepository()
    make_sets(made, [OLD, NEW])
    made.requests.clear()
    return made


def listed(repository, now=NOW):
    return list_backups(repository, LAYOUT, now)


def kinds(repository):
    return {each.id: each.kind for each in listed(repository)}


def test_a_backup_is_listed_with_what_its_manifest_says(repository):
    first = listed(repository)[0]
    assert first.as_state() == {
        "id": NEW,
        "kind": "backup",
        "database": "cost_agent",
        "started_at": "2025-01-23T02:00:00Z",
        "age_s": 3600,
        "finished_at": "1970-01-01T00:00:00Z",  # that of the set that many_sets multiplies
        "duration_s": 1.5,
        "size_bytes": first.size,
        "raw_size_bytes": first.raw_size,
        "rows": 50003,
        "tables": 3,
        "server_version": 170004,
        "encrypted": False,
        "excluded": [],
        "verified": "never",
        "verified_at": None,
        "drill": "never",
        "drilled_at": None,
        "reason": None,
    }


def test_the_newest_is_first(repository):
    assert [each.id for each in listed(repository)] == [NEW, OLD]


def test_nothing_at_all():
    assert listed(FakeRepository()) == []


def test_a_set_without_a_manifest_is_unfinished(repository):
    manifest, objects = small_set(backup_id("2025-01-23 02:30"))
    store(repository, manifest, objects, finished=False)
    first = listed(repository)[0]
    assert (first.id, first.kind) == (manifest.id, "unfinished")
    assert first.size == sum(map(len, objects.values()))


def test_a_folder_that_a_store_shows_behind_its_last_object_is_no_set(repository, monkeypatch):
    shown = [OLD, NEW, backup_id("2025-01-23 02:30")]
    monkeypatch.setattr(repository, "list_folders", lambda prefix: iter(shown))
    assert set(kinds(repository)) == {OLD, NEW}


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"null", b'{"schema_version": 1}', b"\xff\xfe\x00"]
)
def test_a_damaged_manifest_breaks_no_list(repository, data):
    repository.write(LAYOUT.manifest(NEW), data)
    bad, good = listed(repository)
    assert (bad.kind, good.kind) == ("damaged", "backup")
    assert bad.reason


def test_a_truncated_manifest_is_damaged_also_when_the_catalog_knew_it(repository):
    update_catalog(repository, LAYOUT)
    whole = repository.read(LAYOUT.manifest(NEW)).data
    repository.write(LAYOUT.manifest(NEW), whole[: len(whole) // 2])
    assert kinds(repository) == {NEW: "damaged", OLD: "backup"}


def test_a_manifest_in_anothers_place_is_damaged(repository):
    repository.write(LAYOUT.manifest(NEW), repository.read(LAYOUT.manifest(OLD)).data)
    assert kinds(repository) == {NEW: "damaged", OLD: "backup"}


def test_a_manifest_of_a_newer_collection_is_newer_and_not_damaged(repository):
    values = json.loads(repository.read(LAYOUT.manifest(NEW)).data)
    repository.write(LAYOUT.manifest(NEW), json.dumps({**values, "schema_version": 2}).encode())
    assert kinds(repository) == {NEW: "newer", OLD: "backup"}


def test_a_manifest_whose_data_is_gone_is_damaged(repository):
    repository.delete([each.key for each in repository.list(LAYOUT.set(OLD))])
    assert kinds(repository) == {NEW: "backup", OLD: "damaged"}


def test_a_backup_that_finishes_while_it_is_listed_looks_neither_unfinished_nor_damaged(
    repository,
):
    manifest, objects = small_set(backup_id("2025-01-23 02:30"))

    def finish_behind_the_manifests(kind, key):
        if key == LAYOUT.sets:
            repository.before = lambda kind, key: None
            store(repository, manifest, objects)

    repository.before = finish_behind_the_manifests
    assert kinds(repository)[manifest.id] == "backup"


def test_a_backup_that_is_pruned_while_it_is_listed_is_not_damaged(repository):
    def prune_behind_the_manifests(kind, key):
        if key == LAYOUT.sets:
            repository.before = lambda kind, key: None
            gone = [each.key for each in repository.list(LAYOUT.set(OLD))]
            repository.delete([LAYOUT.manifest(OLD), *gone])

    repository.before = prune_behind_the_manifests
    assert kinds(repository) == {NEW: "backup"}


def test_the_guides_own_dumps_are_foreign_and_nothing_else_at_the_root_is(repository):
    for key in ("backup_20250121.sql.gz", "backup_20250120.sql"):
        repository.write(key, b"--")
    for key in ("backup_20251399.sql.gz", "backup_20250121.sql.gz.sha256", "backup_2025.sql.gz"):
        repository.write(key, b"--")
    assert [(each.id, each.age_s) for each in listed(repository) if each.kind == "foreign"] == [
        ("backup_20250121.sql.gz", 2 * 86400 + 3 * 3600),
        ("backup_20250120.sql", 3 * 86400 + 3 * 3600),
    ]


def test_other_databases_and_other_objects_are_not_listed(repository):
    manifest, objects = small_set(NEW, database="cost_agent2")
    store(repository, manifest, objects)
    repository.write(f"{LAYOUT.manifests}notes.txt", b"")
    repository.write(f"{LAYOUT.manifests}20250123T020000Z/x.json", b"")
    repository.write(f"{LAYOUT.sets}lost+found/x", b"")
    assert [each.id for each in listed(repository)] == [NEW, OLD]


# --- the cache --------------------------------------------------------------------------------


def test_with_the_catalog_no_manifest_is_read():
    repository = FakeRepository()
    make_sets(repository, [backup_id(86400 * day) for day in range(1000)])
    record_proof(repository, LAYOUT, backup_id(86400 * 7), VERIFIED, WHOLE)
    update_catalog(repository, LAYOUT)
    repository.requests.clear()
    assert len(listed(repository)) == 1000
    # Manifests, sets, proofs and the guide's dumps; the catalog itself.
    assert repository.requests == {"list": 4, "read": 1}


def test_only_what_the_catalog_lacks_is_read(repository):
    update_catalog(repository, LAYOUT)
    make_sets(repository, [backup_id("2025-01-23 02:30")])
    record_proof(repository, LAYOUT, OLD, VERIFIED, WHOLE)
    repository.requests.clear()
    assert [each.verified for each in listed(repository)] == ["never", "never", "ok"]
    assert repository.requests["read"] == 1 + 1 + 1


def test_a_list_does_not_write(repository):
    listed(repository)
    assert repository.requests["write"] == 0


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:-20],
        lambda data: data.replace(b"50003", b"50004"),
        lambda data: data.replace(b'"schema_version": 1', b'"schema_version": 2'),
        lambda data: b'{"schema_version": 1}',
        lambda data: b"[1]",
    ],
)
def test_a_damaged_catalog_is_ignored_and_made_again(repository, damage):
    update_catalog(repository, LAYOUT)
    whole = repository.read(LAYOUT.catalog).data
    repository.write(LAYOUT.catalog, damage(whole))
    assert [each.rows for each in listed(repository)] == [50003, 50003]
    update_catalog(repository, LAYOUT)
    assert repository.read(LAYOUT.catalog).data == whole


def test_a_catalog_that_is_up_to_date_is_not_written(repository):
    update_catalog(repository, LAYOUT)
    repository.requests.clear()
    update_catalog(repository, LAYOUT)
    assert repository.requests["write"] == 0


def test_who_loses_the_race_for_the_catalog_takes_the_winners_into_account(repository):
    def another_run(kind, key):
        if (kind, key) == ("write", LAYOUT.catalog):
            repository.before = lambda kind, key: None
            make_sets(repository, [backup_id("2025-01-23 02:30")])
            update_catalog(repository, LAYOUT)

    repository.before = another_run
    update_catalog(repository, LAYOUT)
    repository.requests.clear()
    assert len(listed(repository)) == 3
    assert repository.requests["read"] == 1


def test_a_catalog_that_others_write_all_the_time_is_left_to_them(repository):
    def lose(kind, key):
        if (kind, key) == ("write", LAYOUT.catalog):
            raise VersionConflict(key)

    repository.before = lose
    update_catalog(repository, LAYOUT)
    assert LAYOUT.catalog not in repository.objects


def test_a_catalog_that_cannot_be_written_fails_nobody(repository):
    def refuse(kind, key):
        if kind == "write":
            raise OperationError(Reason.AUTH, "write", "it is forbidden", "Allow it")

    repository.before = refuse
    update_catalog(repository, LAYOUT)


def test_a_repository_that_does_not_answer_is_no_damage(repository):
    def hang_up(kind, key):
        if key == LAYOUT.manifest(OLD):
            raise OperationError(Reason.UNREACHABLE, "read", "it hung up", "Look at it")

    repository.before = hang_up
    with pytest.raises(OperationError, match="hung up"):
        listed(repository)


# --- proofs -----------------------------------------------------------------------------------


def test_a_proof_keeps_the_record_of_the_other_kind(repository):
    record_proof(repository, LAYOUT, NEW, VERIFIED, WHOLE)
    record_proof(repository, LAYOUT, NEW, DRILL, {**DAMAGED, "seconds": 12})
    first = listed(repository)[0]
    assert (first.verified, first.drill) == ("ok", "failed")
    assert read_proof(repository, LAYOUT, NEW).drill == {**DAMAGED, "seconds": 12}


def test_two_that_record_at_the_same_time_both_leave_their_record(repository):
    def another_run(kind, key):
        if kind == "write":
            repository.before = lambda kind, key: None
            record_proof(repository, LAYOUT, NEW, DRILL, WHOLE)

    repository.before = another_run
    record_proof(repository, LAYOUT, NEW, VERIFIED, DAMAGED)
    first = listed(repository)[0]
    assert (first.verified, first.drill) == ("failed", "ok")


@pytest.mark.parametrize(
    "data", [b"", b"[]", b'{"verified": 1, "drill": null}', b'{"verified": {}, "drill": null}']
)
def test_a_damaged_proof_proves_nothing_and_can_be_made_again(repository, data):
    repository.write(LAYOUT.proof(NEW), data)
    assert listed(repository)[0].verified == "never"
    record_proof(repository, LAYOUT, NEW, VERIFIED, WHOLE)
    assert listed(repository)[0].verified == "ok"


# --- finding one ------------------------------------------------------------------------------


def test_the_latest_is_found_without_reading_the_others(repository):
    summary, manifest = find_backup(repository, LAYOUT, "latest", NOW)
    assert (summary.id, summary.age_s, manifest.id) == (NEW, 3600, NEW)
    assert repository.requests == {"list": 1, "read": 2}


def test_one_is_found_by_its_id(repository):
    summary, manifest = find_backup(repository, LAYOUT, OLD, NOW)
    assert (summary.id, manifest.id) == (OLD, OLD)


def test_a_backup_that_is_known_to_be_damaged_is_found_by_its_id(repository):
    record_proof(repository, LAYOUT, OLD, VERIFIED, DAMAGED)
    assert find_backup(repository, LAYOUT, OLD, NOW)[0].verified == "failed"


def damage_by_proof(repository):
    record_proof(repository, LAYOUT, NEW, VERIFIED, DAMAGED)


def damage_manifest(repository):
    repository.write(LAYOUT.manifest(NEW), b"{")


@pytest.mark.parametrize("damage", [damage_by_proof, damage_manifest])
def test_the_latest_is_not_passed_over_when_it_is_damaged(repository, damage):
    damage(repository)
    with pytest.raises(OperationError, match=f"latest backup {NEW}.* Give {OLD} ") as caught:
        find_backup(repository, LAYOUT, "latest", NOW)
    assert caught.value.reason is Reason.INTEGRITY


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (backup_id("2025-01-01 00:00"), Reason.PRECONDITION),
        ("yesterday", Reason.INVALID_INPUT),
        ("20250123T020000Z/../x", Reason.INVALID_INPUT),
        ("", Reason.INVALID_INPUT),
    ],
)
def test_what_is_not_there_is_not_found(repository, wanted, reason):
    with pytest.raises(OperationError, match="postgres_backup_info") as caught:
        find_backup(repository, LAYOUT, wanted, NOW)
    assert caught.value.reason is reason


def test_the_latest_of_none():
    with pytest.raises(OperationError, match="no finished one") as caught:
        find_backup(FakeRepository(), LAYOUT, "latest", NOW)
    assert caught.value.reason is Reason.PRECONDITION


@pytest.mark.parametrize("name", ["Cost Agent", "kosten-\u00fc", "a/b", "..", 'we"ird', "%41"])
def test_any_name_of_a_database_has_a_folder_of_its_own(name):
    repository = FakeRepository()
    manifest, objects = small_set(NEW, database=name)
    store(repository, manifest, objects)
    (found,) = list_backups(repository, Layout(name), NOW)
    assert (found.kind, found.database) == ("backup", name)
