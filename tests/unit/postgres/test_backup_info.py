# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""postgres_backup_info: the list as a person and a playbook see it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.context import Context
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.operation import execute
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres import (
    postgres_backup_info as area,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.sets.backup_summary import (
    BackupSummary,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.sets.layout import (
    started_at,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.sets.proofs import (
    VERIFIED,
    record_proof,
)
from ansible_collections.optiinfra.cost_agent.plugins.plugin_utils import operator_view
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
NOW = started_at(NEW) + 3 * 3600
CLOCK = StandingClock(NOW)
SPEC = area.POSTGRES_BACKUP_INFO.argument_spec


@pytest.fixture
def repository(monkeypatch):
    made = FakeRepository()
    monkeypatch.setattr(area, "open_repository", lambda params, clock: made)
    return made


def info(**options):
    params = {name: spec.get("default") for name, spec in SPEC.items()}
    params.update(repository="s3://backups", **options)
    return execute(area.POSTGRES_BACKUP_INFO, params, Context(clock=CLOCK))


def test_an_empty_repository_is_a_result(repository):
    outcome = info(max_age="1d")
    assert not outcome.get("failed")
    assert outcome["summary"] == "0 backups, 0 B, no good one"
    assert (outcome["state"]["fresh"], outcome["state"]["newest_good"]) == (False, None)
    assert outcome["tables"] == []


def test_everything_that_is_there(repository):
    make_sets(repository, [OLD, NEW])
    store(repository, *small_set(backup_id("2025-01-23 04:59")), finished=False)
    repository.write("backup_20250120.sql.gz", b"x" * 2048)
    outcome = info()
    assert outcome["changed"] is False
    (table,) = outcome["tables"]
    assert table["columns"] == ["backup", "age", "size", "rows", "took", "proof"]
    size = table["rows"][1][2]  # all data objects are the same
    assert table["rows"] == [
        ["20250123T045900Z-00000000", "60 s", size, "-", "-", "unfinished"],
        [NEW, "3 h", size, "50003", "1 s", "none yet"],
        [OLD, "27 h", size, "50003", "1 s", "none yet"],
        ["backup_20250120.sql.gz", "3 d", "2.00 KiB", "-", "-", "foreign"],
    ]
    assert outcome["state"]["count"] == 2
    assert outcome["summary"].endswith("newest good one 3 h old")


@pytest.mark.parametrize(
    ("max_age", "fresh"), [("3h", True), ("2.9h", False), ("1d", True), (None, None)]
)
def test_fresh_is_about_the_newest_good_one(repository, max_age, fresh):
    make_sets(repository, [OLD, NEW])
    outcome = info(max_age=max_age)
    assert outcome["state"]["fresh"] is fresh
    assert outcome["summary"].endswith(": too old") is (fresh is False)


def test_a_damaged_one_is_not_fresh(repository):
    make_sets(repository, [OLD, NEW])
    record_proof(repository, LAYOUT, NEW, VERIFIED, {"at": "", "ok": False})
    outcome = info(max_age="1d")
    assert outcome["state"]["fresh"] is False
    assert outcome["state"]["newest_good"]["id"] == OLD
    assert outcome["tables"][0]["rows"][0][-1] == "damaged"


def test_a_limit_shortens_the_list_and_not_the_count(repository):
    make_sets(repository, [OLD, NEW])
    outcome = info(limit=1)
    assert [each["id"] for each in outcome["state"]["backups"]] == [NEW]
    assert outcome["state"]["count"] == 2
    assert len(outcome["tables"][0]["rows"]) == 1
    assert outcome["summary"].endswith("; the newest 1 listed")
    assert "listed" not in info(limit=2)["summary"]


@pytest.mark.parametrize("options", [{"limit": 0}, {"limit": -1}, {"max_age": "soon"}])
def test_bad_options(repository, options):
    assert info(**options)["reason"] == "invalid_input"


WIDEST = BackupSummary(
    NEW, "backup", "x", "", age_s=5999, duration_s=5999, size=123456, rows=12345678
)


@pytest.mark.parametrize(
    "word", [{"kind": "unfinished"}, {"drill": "failed"}, {"verified": "ok"}, {"drill": "ok"}]
)
def test_the_table_fits_a_terminal_of_80_columns(word):
    table = area.table([replace(WIDEST, **word), replace(WIDEST, size=1.46 * 2**30)])
    lines = operator_view.table(vars(table), 80)
    assert len(lines) == 3
    assert max(len(operator_view.text_of(line)) for line in lines) <= 80
