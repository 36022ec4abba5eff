# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""postgres_backup_prune: what goes, in which order, and in how many requests."""

from __future__ import annotations

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.context import Context
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.errors import (
    OperationError,
    Reason,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.lock import Lease
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.operation import execute
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres import (
    postgres_backup_prune as area,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.sets.catalog import (
    list_backups,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.sets.layout import (
    started_at,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.sets.proofs import (
    VERIFIED,
    record_proof,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.repository import state_store_of
from ansible_collections.optiinfra.cost_agent.tests.component.many_sets import (
    DATABASE,
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

DAYS = [backup_id(f"2025-01-{day} 02:00") for day in (19, 20, 21, 22, 23)]
NOW = started_at(DAYS[-1]) + 3600
CLOCK = StandingClock(NOW)
DEFAULTS = {
    name: spec.get("default") for name, spec in area.POSTGRES_BACKUP_PRUNE.argument_spec.items()
}


@pytest.fixture
def repository(monkeypatch):
    """Five finished backups, a day apart."""
    made = FakeRepository()
    monkeypatch.setattr(area, "open_repository", lambda params, clock: made)
    make_sets(made, DAYS)
    made.requests.clear()
    return made


def prune(repository, check_mode=False, **options):
    params = {**DEFAULTS, "repository": "s3://backups", **options}
    return execute(area.POSTGRES_BACKUP_PRUNE, params, Context(check_mode=check_mode, clock=CLOCK))


def there(repository):
    return {each.id: each.kind for each in list_backups(repository, LAYOUT, NOW)}


def unfinished(repository, moment):
    manifest, objects = small_set(backup_id(moment))
    store(repository, manifest, objects, finished=False)
    return manifest.id


def test_what_no_rule_keeps_goes_with_all_its_objects(repository):
    record_proof(repository, LAYOUT, DAYS[0], VERIFIED, {"at": "", "ok": True})
    outcome = prune(repository, keep_last=3)
    assert outcome["changed"] is True
    assert [each["id"] for each in outcome["state"]["removed"]] == [DAYS[1], DAYS[0]]
    assert outcome["summary"].startswith("removed 2 of 5 sets, ")
    assert not [key for key in repository.objects if DAYS[0] in key or DAYS[1] in key]
    assert there(repository) == dict.fromkeys(reversed(DAYS[2:]), "backup")


def test_freed_bytes_are_those_of_the_data_that_went(repository):
    size = sum(each.size for each in repository.list(LAYOUT.set(DAYS[0])))
    assert prune(repository, keep_last=4)["state"]["freed_bytes"] == size


def test_a_second_run_changes_nothing(repository):
    prune(repository, keep_last=3)
    before = dict(repository.objects)
    outcome = prune(repository, keep_last=3)
    assert (outcome["changed"], outcome["actions"]) == (False, [])
    assert outcome["summary"] == "nothing to remove, 3 kept"
    assert repository.objects == before


def test_check_mode_lists_exactly_what_goes_and_only_reads(repository):
    unfinished(repository, "2025-01-18 02:00")
    repository.requests.clear()
    before = dict(repository.objects)
    would = prune(repository, check_mode=True, keep_last=2)
    assert repository.objects == before
    assert not {"write", "delete", "delete_version", "abort_uploads"} & set(repository.requests)
    did = prune(repository, keep_last=2)
    assert would["state"] == did["state"]
    assert would["changed"] is did["changed"] is True
    assert [each.replace("would remove", "removed") for each in would["actions"]] == did["actions"]


def test_a_thousand_small_sets_take_few_requests(repository):
    repository.objects.clear()
    make_sets(repository, [backup_id(86400 * day) for day in range(1001)])
    repository.requests.clear()
    outcome = prune(repository, keep_last=1)
    assert len(outcome["state"]["removed"]) == 1000
    assert repository.requests["delete"] == 1 + 3
    # Two pages each of manifests, sets and catalog's manifests; the data of the candidates.
    assert repository.requests["list"] <= 15


def test_one_old_set_does_not_cost_a_list_of_all_data(repository):
    repository.objects.clear()
    make_sets(repository, [backup_id(86400 * day) for day in range(999)])
    repository.requests.clear()
    prune(repository, check_mode=True, keep_last=998)
    assert repository.requests["list"] == 4 + 1


@pytest.mark.parametrize("answered", range(3))
def test_a_run_that_is_cut_off_leaves_nothing_that_looks_finished_and_is_not(
    repository, answered, monkeypatch
):
    monkeypatch.setattr(area, "_KEYS_AT_ONCE", 3)
    left = answered

    def cut_off(kind, key):
        nonlocal left
        if kind == "delete":
            left -= 1
        if left < 0:
            raise KeyboardInterrupt

    repository.before = cut_off
    with pytest.raises(KeyboardInterrupt):
        prune(repository, keep_last=3)
    repository.before = lambda kind, key: None
    repository.objects.pop(f"locks/{LAYOUT.lock}", None)  # its holder is this process
    kinds = there(repository)
    assert "damaged" not in kinds.values()
    for its_id, kind in kinds.items():
        whole = {f"{LAYOUT.set(its_id)}{name}" for name in ("3403.zst", "bundle-0")}
        assert kind == "unfinished" or whole <= repository.objects.keys()
    prune(repository, keep_last=3)
    assert set(there(repository)) == set(DAYS[2:])
    assert not [key for key in repository.objects if DAYS[0] in key or DAYS[1] in key]


def test_when_the_manifests_cannot_be_deleted_no_data_is(repository):
    before = dict(repository.objects)

    def refuse(kind, key):
        if kind == "delete" and key.startswith(LAYOUT.manifests):
            raise OperationError(Reason.AUTH, "delete", "it is forbidden", "Allow it")

    repository.before = refuse
    assert prune(repository, keep_last=1)["reason"] == "auth"
    assert repository.objects == before


def test_an_unfinished_set_goes_when_it_is_old_enough(repository):
    old = unfinished(repository, "2025-01-22 02:59")
    young = unfinished(repository, "2025-01-22 03:01")
    outcome = prune(repository, keep_last=5)
    assert [(each["id"], each["kind"]) for each in outcome["state"]["removed"]] == [
        (old, "unfinished")
    ]
    assert there(repository)[young] == "unfinished"
    assert old not in there(repository)


def test_unfinished_uploads_are_ended(repository):
    repository.uploads = [f"{LAYOUT.set(DAYS[0])}1.zst", "other/sets/x/1.zst"]
    would = prune(repository, check_mode=True, keep_last=5)
    assert (would["changed"], would["actions"]) == (True, ["would end 1 unfinished uploads"])
    outcome = prune(repository, keep_last=5)
    assert outcome["actions"] == ["ended 1 unfinished uploads"]
    assert repository.uploads == ["other/sets/x/1.zst"]


@pytest.mark.parametrize(
    "key",
    [
        LAYOUT.manifest(DAYS[0]),
        f"{LAYOUT.set(DAYS[0])}bundle-0",
        f"{LAYOUT.set(DAYS[0])}3403.zst",
    ],
)
def test_a_set_with_a_protected_object_stays_whole(repository, key):
    repository.protected[key] = "a legal hold"
    outcome = prune(repository, keep_last=3)
    assert [each["id"] for each in outcome["state"]["removed"]] == [DAYS[1]]
    assert outcome["state"]["kept"][-1]["reason"] == f"a legal hold on {key}"
    assert there(repository)[DAYS[0]] == "backup"


def test_only_what_would_go_is_asked_for_its_protection(repository):
    prune(repository, keep_last=4)
    assert repository.requests["protection_of"] == 3
    repository.requests.clear()
    prune(repository, keep_last=4)
    assert repository.requests["protection_of"] == 0


def test_damaged_and_newer_ones_stay_and_foreign_dumps_are_left_alone(repository):
    repository.write(LAYOUT.manifest(DAYS[0]), b"{")
    newer = repository.read(LAYOUT.manifest(DAYS[1])).data
    newer = newer.replace(b'"schema_version":1', b'"schema_version":9')
    repository.write(LAYOUT.manifest(DAYS[1]), newer)
    repository.write("backup_20200101.sql.gz", b"")
    outcome = prune(repository, keep_last=1)
    assert [each["id"] for each in outcome["state"]["removed"]] == [DAYS[3], DAYS[2]]
    assert [each["reason"].partition(":")[0] for each in outcome["state"]["kept"][1:]] == [
        "newer",
        "damaged",
    ]
    assert "backup_20200101.sql.gz" in repository.objects


def test_the_newest_good_one_stays_behind_newer_damaged_ones(repository):
    for its_id in DAYS[1:]:
        record_proof(repository, LAYOUT, its_id, VERIFIED, {"at": "", "ok": False})
    prune(repository, keep_last=1)
    assert set(there(repository)) == {DAYS[0], DAYS[4]}


@pytest.mark.parametrize("lock", [LAYOUT.lock, LAYOUT.restore_lock, LAYOUT.drill_lock])
def test_who_works_with_the_backups_locks_it_out_and_is_named(repository, lock):
    store_of_locks = state_store_of(repository)
    with Lease(store_of_locks, lock, f"work on {DATABASE}", CLOCK):
        outcome = prune(repository, keep_last=1)
        check = prune(repository, check_mode=True, keep_last=1)
    assert outcome["reason"] == "locked"
    assert f"work on {DATABASE}" in outcome["msg"]
    assert not check.get("failed")
    assert len(there(repository)) == 5


def test_the_lock_is_given_back(repository):
    prune(repository, keep_last=1)
    assert not [key for key in repository.objects if key.startswith("locks/")]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({}, "keep_last"),
        ({"keep_daily": -1}, "keep_daily"),
        ({"keep_last": 1, "unfinished_after": "soon"}, "unfinished_after"),
    ],
)
def test_bad_options_touch_nothing(repository, options, named):
    outcome = prune(repository, **options)
    assert (outcome["reason"], named in outcome["msg"]) == ("invalid_input", True)
    assert not repository.requests


def test_the_next_list_has_its_catalog(repository):
    prune(repository, keep_last=3)
    repository.requests.clear()
    there(repository)
    assert repository.requests["read"] == 1
