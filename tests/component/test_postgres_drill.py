# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drills: a backup is proved by restoring it into a scratch database, which is then gone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.clock import SystemClock
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.record.backup_history import (
    DRILL,
    BackupHistory,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.sets.layout import (
    Layout,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.sets.proofs import (
    read_proof,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.repository import (
    open_repository,
    open_state_store,
)

from demo.stack.stack import Stack
from tests.component.restore_site import RestoreSite, good, refused

DATABASE = "costs"
CONTENTS = """
CREATE TABLE items (id int PRIMARY KEY, amount numeric);
INSERT INTO items SELECT i, i / 100.0 FROM generate_series(1, 20000) i;
CREATE INDEX ON items (amount);
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory) -> Iterator[Any]:
    stack = Stack(tmp_path_factory.mktemp("drill"))
    try:
        yield stack.up(only=["postgres"])
    finally:
        stack.down(purge=True)


@pytest.fixture
def site(stack, tmp_path) -> Iterator[RestoreSite]:
    site = RestoreSite(stack, tmp_path / "repository")
    site.make(DATABASE, CONTENTS, as_owner=True)
    yield site
    for name in site.databases(DATABASE):
        site.drop(name)


def proof(site: RestoreSite, backup_id: str) -> dict[str, Any] | None:
    repository = open_repository({**site.repository, "s3": None}, SystemClock())
    return read_proof(repository, Layout(DATABASE), backup_id).drill


def nothing_is_left(site: RestoreSite) -> None:
    assert site.databases(DATABASE) == [DATABASE]
    assert site.locks() == []


def test_a_drill_proves_the_newest_backup_and_records_it(site):
    site.backup(DATABASE)
    time.sleep(1.1)
    newest = site.backup(DATABASE)
    outcome = good(site.drill(DATABASE))
    state = outcome["state"]
    assert (state["backup"], state["rows"], state["tables"]) == (newest, 20000, 1)
    assert 0 < state["load_s"] < state["recovery_s"]
    assert state["indexes"] == {
        "checked": 3,
        "broken": [],
        "skipped": "",
        "unchecked": [],
    }
    assert outcome["ansible_stats"]["data"] == {"cost_agent_recovery_s": state["recovery_s"]}
    record = proof(site, newest)
    assert record is not None
    assert (record["ok"], record["rows"], record["recovery_s"]) == (
        True, 20000, state["recovery_s"],
    )  # fmt: skip
    nothing_is_left(site)


def test_an_owner_drills_too_and_is_told_what_was_not_checked(site):
    site.backup(DATABASE)
    indexes = good(site.drill(DATABASE, as_owner=True))["state"]["indexes"]
    assert indexes["checked"] == 0
    assert "superuser" in indexes["skipped"]
    assert good(site.drill(DATABASE, amcheck=False))["state"]["indexes"] is None


def test_checks_of_ones_own_are_asked_and_compared_as_text(site):
    site.backup(DATABASE)
    checks = [
        {"name": "all there", "query": "SELECT count(*) FROM items", "expect": 20000},
        {"name": "true by itself", "query": "SELECT max(id) = 20000 FROM items"},
        {"name": "text", "query": "SELECT 'a % b'", "expect": "a % b"},
        {"name": "number", "query": "SELECT sum(amount) FROM items", "expect": "2000100.0000"},
        {"name": "nothing", "query": "SELECT NULL", "expect": "null"},
    ]
    outcome = site.drill(DATABASE, checks=checks)
    seen = {each["name"]: each["seen"] for each in outcome["state"]["checks"]}
    assert seen["all there"] == "20000"
    assert seen["true by itself"] == "true"
    assert seen["text"] == "a % b"
    assert seen["nothing"] == "null"
    assert site.locks() == []


@pytest.mark.parametrize(
    ("query", "expect", "seen"),
    [
        ("SELECT count(*) FROM items", 1, "20000 instead of 1"),
        ("SELECT false", True, "false instead of true"),
        ("SELECT nonsense", True, "nonsense"),
        ("SELECT 1 WHERE false", True, "null instead of true"),
    ],
)
def test_a_check_that_fails_disproves_the_backup(site, query, expect, seen):
    backup_id = site.backup(DATABASE)
    checks = [{"name": "mine", "query": query, "expect": expect}]
    outcome = refused(site.drill(DATABASE, checks=checks), "integrity", "mine", seen)
    assert outcome["state"]["rows"] == 20000
    assert outcome["tables"][0]["rows"][0][0] == "mine"
    record = proof(site, backup_id)
    assert record is not None
    assert not record["ok"]
    nothing_is_left(site)


def test_a_damaged_backup_is_recorded_as_such(site):
    backup_id = site.backup(DATABASE)
    path = site.objects(DATABASE, backup_id)[0]
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    refused(site.drill(DATABASE), "integrity", path.name)
    record = proof(site, backup_id)
    assert record is not None
    assert not record["ok"]
    nothing_is_left(site)


def test_a_server_that_is_away_says_nothing_of_the_backup(site):
    backup_id = site.backup(DATABASE)
    refused(site.drill(DATABASE, port=1), "unreachable")
    assert proof(site, backup_id) is None


def test_objectives_that_are_missed_fail_a_drill_that_proved_the_backup(site):
    backup_id = site.backup(DATABASE)
    time.sleep(1.2)
    objectives = {"max_age": "1s", "max_duration_s": 0.001}
    outcome = refused(site.drill(DATABASE, **objectives), "failed_state", "old", "recovery took")
    assert outcome["state"]["recovery_s"] > 0
    record = proof(site, backup_id)
    assert record is not None
    assert record["ok"]
    good(site.drill(DATABASE, max_age="1h", max_duration_s=3600))
    nothing_is_left(site)


def test_check_mode_restores_nothing(site):
    backup_id = site.backup(DATABASE)
    outcome = good(site.drill(DATABASE, check=True))
    assert outcome["actions"] == [
        f"would restore {backup_id} into a scratch database, prove it and drop it"
    ]
    assert proof(site, backup_id) is None
    nothing_is_left(site)


def test_a_drill_is_kept_in_history_and_metrics_also_when_it_fails(site, tmp_path):
    backup_id = site.backup(DATABASE)
    kept = {"state_store": f"file://{tmp_path}/state", "textfile": str(tmp_path / "drill.prom")}
    good(site.drill(DATABASE, **kept))
    assert "cost_agent_backup_last_drill_success" in (tmp_path / "drill.prom").read_text()
    refused(site.drill(DATABASE, checks=[{"name": "no", "query": "SELECT false"}], **kept),
            "integrity")  # fmt: skip
    history = BackupHistory(open_state_store(kept["state_store"]), DATABASE)
    good_one, bad_one = history.read(1, time.time())
    assert (good_one.kind, good_one.backup, good_one.reason) == (DRILL, backup_id, None)
    assert bad_one.reason is not None


def test_a_record_that_cannot_be_kept_is_a_note(site):
    site.backup(DATABASE)
    outcome = good(site.drill(DATABASE, textfile="/proc/nowhere/drill.prom"))
    assert any("not on record" in note for note in outcome["state"]["notes"])


@pytest.mark.parametrize(
    ("changes", "option"),
    [
        ({"max_age": "soon"}, "max_age"),
        ({"max_duration_s": 0}, "max_duration_s"),
        ({"checks": [{"name": "a", "query": ""}] * 2}, "checks"),
        ({"backup": "backup_20250123.sql.gz"}, "backup"),
        ({"jobs": -1}, "jobs"),
    ],
)
def test_options_that_make_no_sense_are_refused(site, changes, option):
    refused(site.drill(DATABASE, **changes), "invalid_input", option)


def test_without_a_backup_there_is_nothing_to_drill(site):
    refused(site.drill(DATABASE), "precondition", "postgres_backup")
