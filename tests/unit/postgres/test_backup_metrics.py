# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of a database's backups, as Prometheus reads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.errors import (
    OperationError,
    Reason,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.state_store import (
    FileStateStore,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.record.backup_history import (
    DRILL,
    BackupHistory,
    BackupRun,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.record.backup_metrics import (
    BackupFacts,
    read_facts,
    write_metrics,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.sets.backup_summary import (
    BackupSummary,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.sets.layout import (
    Layout,
    started_at,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.sets.proofs import (
    DRILL as DRILL_PROOF,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.sets.proofs import (
    VERIFIED,
    record_proof,
)
from prometheus_client.parser import text_string_to_metric_families

from tests.unit.postgres.fake_repository import FakeRepository

LAYOUT = Layout("cost_agent")
OLDER, NEWER = "20250122T020000Z-00000001", "20250123T020000Z-00000002"
NOW = started_at(NEWER) + 3600
LABELS = (("database", "cost_agent"), ("repository", "s3://backups"))

# What catalog.py keeps of a manifest is all that is needed of one here.
MANIFEST = json.loads(
    """
    {"schema_version": 1, "id": "", "database": "cost_agent", "started_at": "",
     "finished_at": "2025-01-23T02:00:12Z", "duration_s": 12.5, "server_version": 170004,
     "pg_dump_version": "17.4", "lsn": "0/0", "extensions": [], "tables": [
     {"schema": "public", "name": "costs", "rows": 70, "file": "1.dat"}], "large_objects": 0,
     "files": [{"name": "1.dat", "object": "b", "offset": 0, "size": 100, "raw_size": 400,
     "sha256": ""}], "roles": {"name": "roles.sql", "object": "b", "offset": 100, "size": 1,
     "raw_size": 2, "sha256": ""}, "compression": "zstd-1", "recipients": [],
     "excluded_schemas": [], "excluded_tables": [], "made_by": {}, "properties": {"owner": "a",
     "encoding": "UTF8", "collate": "C", "ctype": "C", "locale_provider": "c", "locale": "",
     "connection_limit": -1, "comment": "", "settings": [], "grants": []}}
    """
)


@pytest.fixture
def repository() -> FakeRepository:
    return FakeRepository()


def keep(repository: FakeRepository, *ids: str) -> None:
    for each in ids:
        repository.write(LAYOUT.set(each) + "b", b"data")
        manifest = {**MANIFEST, "id": each}
        repository.write(LAYOUT.manifest(each), json.dumps(manifest).encode())


def samples(path: Path) -> dict[str, float]:
    """Each metric by its name; every sample has the same two labels."""
    families = text_string_to_metric_families(path.read_text())
    found = {}
    for sample in (sample for family in families for sample in family.samples):
        assert tuple(sorted(sample.labels.items())) == LABELS
        found[sample.name.removeprefix("cost_agent_backup_")] = sample.value
    return found


def drill(ok: bool, at: str, **more: Any) -> dict[str, Any]:
    return {"at": at, "ok": ok, "duration_s": 34.5, **more}


def test_newest_good_backup_and_the_last_drill_are_told(
    repository: FakeRepository, tmp_path: Path
) -> None:
    keep(repository, OLDER, NEWER)
    record_proof(repository, LAYOUT, OLDER, DRILL_PROOF, drill(True, "2025-01-23T03:00:00Z"))
    path = tmp_path / "cost_agent.prom"
    write_metrics(str(path), read_facts(repository, LAYOUT, NOW))
    assert samples(path) == {
        "count": 2,
        "last_success_timestamp_seconds": started_at(NEWER),
        "size_bytes": 101,
        "raw_size_bytes": 402,
        "rows": 70,
        "duration_seconds": 12.5,
        "last_drill_timestamp_seconds": 1737601200,
        "last_drill_duration_seconds": 34.5,
        "last_drill_success": 1,
    }


def test_damaged_backup_does_not_count(repository: FakeRepository) -> None:
    keep(repository, OLDER, NEWER)
    record_proof(repository, LAYOUT, NEWER, VERIFIED, {"at": "2025-01-23T03:00:00Z", "ok": False})
    facts = read_facts(repository, LAYOUT, NOW)
    assert facts.newest is not None
    assert (facts.count, facts.newest.id) == (1, OLDER)


def test_last_drill_is_the_last_one_and_not_the_newest_backup_s(
    repository: FakeRepository,
) -> None:
    keep(repository, OLDER, NEWER)
    record_proof(repository, LAYOUT, NEWER, DRILL_PROOF, drill(True, "2025-01-23T03:00:00Z"))
    record_proof(repository, LAYOUT, OLDER, DRILL_PROOF, drill(False, "2025-01-24T03:00:00Z"))
    facts = read_facts(repository, LAYOUT, NOW)
    assert (facts.drilled_at, facts.drill_succeeded) == (1737687600, False)


def test_drill_of_a_pruned_backup_is_known_from_the_history(
    repository: FakeRepository, tmp_path: Path
) -> None:
    keep(repository, NEWER)
    history = BackupHistory(FileStateStore(tmp_path), "cost_agent")
    history.append(BackupRun(DRILL, NOW - 60, 12.0, repository.url))
    facts = read_facts(repository, LAYOUT, NOW, history)
    assert (facts.drilled_at, facts.drill_duration_s) == (NOW - 60, 12.0)
    assert facts.drill_succeeded


def test_failed_drill_in_the_history_is_no_success(
    repository: FakeRepository, tmp_path: Path
) -> None:
    history = BackupHistory(FileStateStore(tmp_path), "cost_agent")
    history.append(BackupRun(DRILL, NOW - 60, 12.0, repository.url, reason=Reason.INTEGRITY))
    assert not read_facts(repository, LAYOUT, NOW, history).drill_succeeded


def test_no_backup_at_all_is_an_age_that_raises_an_alarm(
    repository: FakeRepository, tmp_path: Path
) -> None:
    path = tmp_path / "cost_agent.prom"
    write_metrics(str(path), read_facts(repository, LAYOUT, NOW))
    assert samples(path) == {
        "count": 0,
        "last_success_timestamp_seconds": 0,
        "last_drill_timestamp_seconds": 0,
    }


def test_names_with_special_characters_stay_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.prom"
    newest = BackupSummary(NEWER, "backup", 'a"b', "", 1.0)
    write_metrics(str(path), BackupFacts('a"b\\c\nd', "file:///ü", 1, newest))
    (family, *_rest) = text_string_to_metric_families(path.read_text())
    assert family.samples[0].labels == {"database": 'a"b\\c\nd', "repository": "file:///ü"}
    assert path.stat().st_mode & 0o777 == 0o644


def test_file_that_cannot_be_written_is_said(repository: FakeRepository, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OperationError, match="Failed to write the Prometheus textfile") as caught:
        write_metrics(str(tmp_path / "file" / "x.prom"), read_facts(repository, LAYOUT, NOW))
    assert caught.value.reason is Reason.PRECONDITION
