# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""List, verify and prune in a folder, in SeaweedFS and, for object locks, in moto."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.clock import SystemClock
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.postgres_backup_info import (
    POSTGRES_BACKUP_INFO,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.postgres_backup_prune import (
    POSTGRES_BACKUP_PRUNE,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.postgres_backup_verify import (
    POSTGRES_BACKUP_VERIFY,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.sets.catalog import (
    list_backups,
    update_catalog,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.repository import (
    MIN_PART,
    Repository,
    open_repository,
)

from tests.component.fault_proxy import FaultProxy, Hang
from tests.component.many_sets import LAYOUT, backup_id, make_sets, small_set, store
from tests.component.operations import run_operation, start_operation
from tests.component.s3_servers import S3Server, moto, seaweedfs

CLOCK = SystemClock()
MANY = [backup_id(1_600_000_000 + 86400 * day) for day in range(1000)]
DAYS = MANY[-4:]
PRUNE_SECONDS = 60


@pytest.fixture(scope="module")
def seaweed(tmp_path_factory) -> Iterator[S3Server]:
    with seaweedfs(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def in_s3(seaweed) -> dict[str, Any]:
    return {"repository": f"s3://{seaweed.bucket}/{time.monotonic_ns()}", "s3": seaweed.s3}


@pytest.fixture(params=["file", "seaweedfs"])
def options(request, tmp_path) -> dict[str, Any]:
    """The options of an empty repository."""
    if request.param == "file":
        return {"repository": f"file://{tmp_path}/backups"}
    return request.getfixturevalue("in_s3")


def opened(options: dict[str, Any]) -> closing[Repository]:
    return closing(open_repository(options, CLOCK))


@pytest.fixture
def four(options) -> Iterator[Repository]:
    """The repository with four finished backups, a day apart."""
    with opened(options) as repository:
        make_sets(repository, DAYS)
        yield repository


def kinds(repository: Repository) -> dict[str, str]:
    return {each.id: each.kind for each in list_backups(repository, LAYOUT, CLOCK.now())}


def keys(repository: Repository, backup: str) -> list[str]:
    return [each.key for each in repository.list(f"{LAYOUT.root}/") if backup in each.key]


# --- many -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_thousand_backups_are_listed_and_pruned_in_few_requests(options):
    with opened(options) as repository:
        make_sets(repository, MANY)
        for _catalog in ("without", "with"):
            assert len(list_backups(repository, LAYOUT, CLOCK.now())) == 1000
            update_catalog(repository, LAYOUT)
    pruned = run_operation(POSTGRES_BACKUP_PRUNE, **options, keep_last=1)
    assert len(pruned["state"]["removed"]) == 999
    with opened(options) as repository:
        assert kinds(repository) == {MANY[-1]: "backup"}
        left = {each.key.split("/")[2] for each in repository.list(LAYOUT.sets)}
        assert left == {MANY[-1]}


@pytest.mark.slow
def test_a_prune_of_a_thousand_deletes_in_at_most_ten_requests(seaweed, in_s3):
    with opened(in_s3) as repository:
        make_sets(repository, MANY)
    with FaultProxy(seaweed.s3["endpoint_url"]) as proxy:
        by_proxy = {**in_s3, "s3": seaweed.at(proxy.url)}
        outcome = run_operation(POSTGRES_BACKUP_PRUNE, **by_proxy, keep_last=1)
        deletes = [each for each in proxy.requests if each.startswith("POST ")]
        print(f"\n{len(deletes)} deletes of {len(proxy.requests)} requests")
    assert len(outcome["state"]["removed"]) == 999
    assert len(deletes) <= 10
    # The rest reads the manifests that there is no catalog of.
    assert len([each for each in proxy.requests if "/manifests/" not in each]) < 40


@pytest.mark.slow
def test_memory_does_not_grow_with_the_tables_of_the_backups_that_are_listed(options):
    manifest, objects = small_set(DAYS[0])
    files = [manifest.files[0]] * 3000
    with opened(options) as repository:
        for its_id in MANY[:40]:
            changes = {"files": files, "tables": manifest.tables * 1000}
            store(repository, small_set(its_id, **changes)[0], objects)
        tracemalloc.start()
        try:
            list_backups(repository, LAYOUT, CLOCK.now())
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 60 * 2**20


# --- what the modules do together -------------------------------------------------------------


def test_list_verify_prune(options, four):
    first = run_operation(POSTGRES_BACKUP_VERIFY, **options)
    assert first["state"]["backups"][0]["opened"] is True, first
    listed = run_operation(POSTGRES_BACKUP_INFO, **options)
    assert [row[-1] for row in listed["tables"][0]["rows"]] == ["verified"] + 3 * ["none yet"]
    would = run_operation(POSTGRES_BACKUP_PRUNE, check=True, **options, keep_last=2)
    assert len(kinds(four)) == 4
    did = run_operation(POSTGRES_BACKUP_PRUNE, **options, keep_last=2)
    assert did["state"] == would["state"]
    assert set(kinds(four)) == set(DAYS[2:])
    assert not keys(four, DAYS[0])
    again = run_operation(POSTGRES_BACKUP_PRUNE, **options, keep_last=2)
    assert (again["changed"], again["actions"]) == (False, [])


@pytest.mark.parametrize("name", ["3403.zst", "bundle-0"])
def test_a_corrupt_byte_in_any_object_is_found(options, four, name):
    key = LAYOUT.set(DAYS[3]) + name
    data = bytearray(four.read(key).data)
    data[len(data) // 2] ^= 1
    four.write(key, bytes(data))
    outcome = run_operation(POSTGRES_BACKUP_VERIFY, **options)
    assert outcome["reason"] == "integrity"
    (problem,) = outcome["state"]["backups"][0]["problems"]
    assert problem["object"] == key
    listed = run_operation(POSTGRES_BACKUP_INFO, **options)
    assert listed["tables"][0]["rows"][0][-1] == "damaged"
    assert listed["state"]["newest_good"]["id"] == DAYS[2]


def test_a_missing_object_and_a_truncated_manifest_are_found(options, four):
    four.delete([LAYOUT.set(DAYS[3]) + "bundle-0"])
    whole = four.read(LAYOUT.manifest(DAYS[2])).data
    four.write(LAYOUT.manifest(DAYS[2]), whole[:-1])
    outcome = run_operation(POSTGRES_BACKUP_VERIFY, **options, backup="all")
    assert [each["ok"] for each in outcome["state"]["backups"]] == [False, False, True, True]
    assert "2 of 4 are damaged" in outcome["msg"]


def test_what_a_killed_backup_leaves_is_shown_and_goes(options, four):
    manifest, objects = small_set(MANY[0])
    store(four, manifest, objects, finished=False)
    upload = four.upload(LAYOUT.set(MANY[1]) + "1.zst")
    upload.write(b"x" * MIN_PART)
    listed = run_operation(POSTGRES_BACKUP_INFO, **options)
    assert listed["tables"][0]["rows"][-1][-1] == "unfinished"
    outcome = run_operation(POSTGRES_BACKUP_PRUNE, **options, keep_last=4)
    assert [each["id"] for each in outcome["state"]["removed"]] == [MANY[0]]
    assert outcome["state"]["aborted_uploads"] == 1
    assert not keys(four, MANY[0])
    upload.abort()


# --- killed, and two at once ------------------------------------------------------------------


def test_a_prune_that_is_killed_halfway_is_finished_by_the_next(seaweed, in_s3):
    with opened(in_s3) as repository, FaultProxy(seaweed.s3["endpoint_url"]) as proxy:
        make_sets(repository, DAYS)
        by_proxy = {**in_s3, "s3": seaweed.at(proxy.url)}
        # The manifests are gone by then.
        behind_manifests = proxy.inject(Hang(), method="POST", containing="delete", skip=1)
        first = start_operation("postgres", "postgres_backup_prune", **by_proxy, keep_last=1)
        try:
            assert behind_manifests.met.wait(PRUNE_SECONDS)
            second = run_operation(POSTGRES_BACKUP_PRUNE, **in_s3, keep_last=1)
        finally:
            first.kill()
        assert second["reason"] == "locked"
        assert f"by pid {first.pid} " in second["msg"]
        proxy.clear()
        assert "damaged" not in kinds(repository).values()
        third = run_operation(POSTGRES_BACKUP_PRUNE, **in_s3, keep_last=1)
        assert not third.get("failed"), third
        assert kinds(repository) == {DAYS[3]: "backup"}
        assert not [key for each in DAYS[:3] for key in keys(repository, each)]
        assert not list(repository.list("locks/"))


# --- object locks -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lockable() -> Iterator[S3Server]:
    with moto() as server:
        yield server


def test_what_a_hold_or_an_object_lock_protects_stays_until_it_ends(lockable):
    place = str(time.monotonic_ns())
    options = {"repository": f"s3://{lockable.bucket}/{place}", "s3": lockable.s3}
    client = lockable.client()
    held = {"Bucket": lockable.bucket, "Key": f"{place}/{LAYOUT.set(DAYS[0])}bundle-0"}
    locked = {"Bucket": lockable.bucket, "Key": f"{place}/{LAYOUT.manifest(DAYS[1])}"}
    until = datetime.now(UTC) + timedelta(days=1)
    with opened(options) as repository:
        make_sets(repository, DAYS)
        client.put_object_legal_hold(**held, LegalHold={"Status": "ON"})
        client.put_object_retention(
            **locked, Retention={"Mode": "GOVERNANCE", "RetainUntilDate": until}
        )
        would = run_operation(POSTGRES_BACKUP_PRUNE, check=True, **options, keep_last=1)
        outcome = run_operation(POSTGRES_BACKUP_PRUNE, **options, keep_last=1)
        assert outcome["state"] == would["state"]
        assert [each["id"] for each in outcome["state"]["removed"]] == [DAYS[2]]
        reasons = {each["id"]: each["reason"] for each in outcome["state"]["kept"]}
        assert reasons[DAYS[0]].startswith("a legal hold on ")
        assert reasons[DAYS[1]].startswith("an object lock until ")
        assert set(kinds(repository)) == {DAYS[0], DAYS[1], DAYS[3]}
        client.put_object_legal_hold(**held, LegalHold={"Status": "OFF"})
        outcome = run_operation(POSTGRES_BACKUP_PRUNE, **options, keep_last=1)
        assert [each["id"] for each in outcome["state"]["removed"]] == [DAYS[0]]
