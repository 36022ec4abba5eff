# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records of past runs, kept by day."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.errors import Reason
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.history import History
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.state_store import (
    FileStateStore,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.record.backup_history import (
    BACKUP,
    DRILL,
    PRUNE,
    BackupHistory,
    BackupRun,
)

NOON = 1737633600.0  # 2025-01-23 12:00:00 UTC
DAY_S = 86400.0


def history_of(folder: Path, keep_days: int = 30) -> History:
    return History(FileStateStore(folder), "history/x", keep_days)


def test_records_come_back_newest_first(tmp_path: Path) -> None:
    history = history_of(tmp_path)
    for number in (1, 3, 2):
        history.append({"n": number}, NOON + number)
    assert [each["n"] for each in history.newest_first(NOON + 10, 60)] == [3, 2, 1]


@pytest.mark.parametrize(
    ("up_to_s", "from_s", "found"),
    [(60, 0, [0, 1]), (60, 20, [1]), (DAY_S, 0, [0, 1, 2]), (10 * DAY_S, 0, [0, 1, 2, 3])],
)
def test_records_of_a_span_of_time(
    tmp_path: Path, up_to_s: float, from_s: float, found: list[int]
) -> None:
    history = history_of(tmp_path)
    for number, age_s in enumerate((10.0, 30.0, 0.9 * DAY_S, 5 * DAY_S)):
        history.append({"n": number}, NOON - age_s)
    assert [each["n"] for each in history.newest_first(NOON, up_to_s, from_s)] == found


def test_days_beyond_the_retention_go_with_the_first_record_of_a_day(tmp_path: Path) -> None:
    history = history_of(tmp_path, keep_days=2)
    for day in range(5):
        history.append({"n": day}, NOON + day * DAY_S)
    found = history.newest_first(NOON + 4 * DAY_S, 30 * DAY_S)
    assert [each["n"] for each in found] == [4, 3, 2]


@pytest.mark.parametrize("text", ["", "{", "[]", "7"])
def test_what_is_no_record_is_passed_over(tmp_path: Path, text: str) -> None:
    history = history_of(tmp_path)
    history.append({"n": 1}, NOON)
    (path,) = tmp_path.glob("history/x/*/*.json")
    path.with_name("120000.001-0.json").write_text(text)
    path.with_name("notes.txt").write_text("mine")
    assert list(history.newest_first(NOON + 5, 60)) == [{"n": 1}]


# --- runs on a database's backups --------------------------------------------------------------


def run(kind: str = BACKUP, at: float = NOON, **changes: object) -> BackupRun:
    values = {"duration_s": 4.0, "repository": "s3://b", "raw_size": 400, "rows": 7, "size": 100}
    return BackupRun(kind, at, **{**values, **changes})  # type: ignore[arg-type]


def test_runs_come_back_as_they_were_the_oldest_first(tmp_path: Path) -> None:
    history = BackupHistory(FileStateStore(tmp_path), "cost/agent")
    runs = [
        run(backup="20250123T120000Z-5f2c"),
        run(PRUNE, NOON + 60, raw_size=None, rows=None),
        run(DRILL, NOON + DAY_S, reason=Reason.INTEGRITY),
    ]
    for each in runs:
        history.append(each)
    assert history.read(7, NOON + 2 * DAY_S) == runs
    assert history.read(0.5, NOON + DAY_S + 5) == runs[2:]
    assert history.last(PRUNE, NOON + 2 * DAY_S) == runs[1]
    assert history.last("restore", NOON + 2 * DAY_S) is None


def test_databases_do_not_share_a_history(tmp_path: Path) -> None:
    BackupHistory(FileStateStore(tmp_path), "a").append(run())
    assert BackupHistory(FileStateStore(tmp_path), "a/b").read(7, NOON + 1) == []


def test_rate_is_of_the_database_and_unknown_without_a_size() -> None:
    assert run().rate_bytes_s == 100.0
    assert run(raw_size=None).rate_bytes_s is None


@pytest.mark.parametrize("record", [{"kind": "backup"}, {**vars(run()), "reason": "no such"}])
def test_run_that_is_none_is_passed_over(tmp_path: Path, record: dict[str, object]) -> None:
    store = FileStateStore(tmp_path)
    History(store, "history/backup/a", 30).append(record, NOON)
    assert BackupHistory(store, "a").read(7, NOON + 1) == []


def test_field_of_a_newer_version_does_no_harm(tmp_path: Path) -> None:
    store = FileStateStore(tmp_path)
    History(store, "history/backup/a", 30).append({**vars(run()), "planet": "Mars"}, NOON)
    assert BackupHistory(store, "a").read(7, NOON + 1) == [run()]
