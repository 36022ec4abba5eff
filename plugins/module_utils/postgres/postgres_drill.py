# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""postgres_drill: proves a backup by restoring it into a scratch database, and says how long."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict, dataclass, field
from typing import Any

from ..core.context import Context
from ..core.errors import OperationError, Reason, invalid_option
from ..core.lock import Lease
from ..core.operation import Operation, Params
from ..core.readable import age_text, duration_text, read_duration, utc_text
from ..core.result import Result, Table
from ..core.watch import Watch
from ..repository import Repository, open_repository, state_store_of
from .record.backup_history import DRILL as RUN_KIND
from .record.run_record import recorded
from .restore.new_database import database_names, drop_database, drop_leftovers
from .restore.restore_backup import BackupRestore, Restored
from .restore.restore_options import RestoreOptions, restore_arguments
from .server.analyze import analyze_tables
from .server.database_names import DRILL, name_beside
from .server.index_checks import IndexChecks, check_indexes
from .server.maintenance_database import connect_beside
from .server.sql_checks import SqlAnswer, SqlCheck, ask_checks, read_checks, sql_check_arguments
from .sets.backup_summary import BackupSummary
from .sets.catalog import find_backup, update_catalog
from .sets.layout import Layout
from .sets.proofs import DRILL as PROOF_KIND
from .sets.proofs import record_proof


@dataclass(frozen=True)
class _Objectives:
    """What the drill must show: seconds, None where nothing is asked."""

    max_age_s: float | None
    max_duration_s: float | None

    @classmethod
    def of(cls, params: Params) -> _Objectives:
        longest = params["max_duration_s"]
        if longest is not None and not longest > 0:
            raise invalid_option("max_duration_s", f"{longest:g} is given", "Give seconds above 0")
        age = params["max_age"]
        return cls(None if age is None else read_duration("max_age", age), longest)

    def missed(self, age_s: float, recovery_s: float | None) -> list[str]:
        """What was not met, as sentences."""
        found = []
        if self.max_age_s is not None and age_s > self.max_age_s:
            found.append(
                f"the backup is {age_text(age_s)} old, and {age_text(self.max_age_s)} is the"
                " objective"
            )
        if self.max_duration_s is not None and (recovery_s or 0) > self.max_duration_s:
            found.append(
                f"recovery took {duration_text(recovery_s or 0)}, and"
                f" {duration_text(self.max_duration_s)} is the objective"
            )
        return found


@dataclass
class _Findings:
    """What the drill has shown so far."""

    recovery_s: float | None = None
    restored: Restored | None = None
    indexes: IndexChecks | None = None
    answers: list[SqlAnswer] = field(default_factory=list)

    @property
    def problems(self) -> list[str]:
        """What disproves the backup, as sentences."""
        broken = self.indexes.broken if self.indexes else []
        wrong = [
            f"check {each.name}: {each.seen} instead of {each.expect}"
            for each in self.answers
            if not each.ok
        ]
        return [f"index {each}" for each in broken] + wrong

    def as_dict(self) -> dict[str, Any]:
        restored = self.restored
        return {
            "recovery_s": self.recovery_s,
            "rows": restored.rows if restored else None,
            "tables": restored.tables if restored else None,
            "load_s": restored.load_s if restored else None,
            "indexes": asdict(self.indexes) if self.indexes else None,
            "checks": [each.as_dict() for each in self.answers],
            "notes": restored.notes if restored else [],
        }


def _run(params: Params, context: Context) -> Result:
    options = RestoreOptions.of(params)
    objectives = _Objectives.of(params)
    checks = read_checks(params["checks"])
    layout = Layout(options.database)
    now = context.clock.now()
    with closing(open_repository(params, context.clock)) as repository:
        summary, manifest = find_backup(repository, layout, options.backup, now)
        source = BackupRestore(options, repository, manifest, context.clock)
        if context.check_mode:
            source.check()
            text = f"restore {summary.id} into a scratch database, prove it and drop it"
            return Result(True, [f"would {text}"], summary=f"would drill {summary.id}")
        drill = _Drill(options, repository, source, summary, context)
        with recorded(RUN_KIND, params, repository, context.clock) as record:
            record.manifest = manifest
            store, purpose = state_store_of(repository), f"drill of {options.database}"
            with Lease(store, layout.drill_lock, purpose, context.clock) as lease:
                findings = drill.perform(lease, params["amcheck"], checks)
                missed = objectives.missed(summary.age_s, findings.recovery_s)
                result = drill.judge(findings, missed)
        result.state["notes"] += [*drill.notes, *record.notes]
        return result


class _Drill:
    """One drill of one backup."""

    def __init__(
        self,
        options: RestoreOptions,
        repository: Repository,
        source: BackupRestore,
        backup: BackupSummary,
        context: Context,
    ) -> None:
        self._options = options
        self._repository = repository
        self._source = source
        self._backup = backup
        self._context = context
        self._layout = Layout(options.database)
        self._dropped: list[str] = []
        self.notes: list[str] = []

    def perform(self, lease: Lease, amcheck: bool, checks: list[SqlCheck]) -> _Findings:
        """Restore, look, drop; a backup that does not restore whole is recorded as such."""
        try:
            return self._restore_and_look(lease, amcheck, checks)
        except OperationError as error:
            if error.reason is Reason.INTEGRITY:
                self._record(False, {"problems": [error.seen]})
            raise

    def _restore_and_look(self, lease: Lease, amcheck: bool, checks: list[SqlCheck]) -> _Findings:
        options, clock = self._options, self._context.clock
        watch = Watch(f"drill of {options.database}", options.timeout_s, lease, self._context)
        findings = _Findings()
        plan = self._source.check()
        self._dropped, self.notes = drop_leftovers(options.server, options.database, clock)
        name = self._scratch_name()
        with self._source.into(name, DRILL, plan, watch) as restored:
            try:
                watch.enter("analyze")
                self.notes += analyze_tables(options.server, name, options.jobs, clock, watch.tick)
                findings.restored = restored
                findings.recovery_s = round(watch.deadline.elapsed, 3)
                if amcheck:
                    watch.enter("check indexes")
                    findings.indexes = check_indexes(
                        options.server, name, options.jobs, clock, watch.tick
                    )
                watch.enter("ask checks")
                findings.answers = ask_checks(
                    options.server, name, checks, options.jobs, clock, watch.tick
                )
            finally:
                drop_database(options.server, name)
        return findings

    def _scratch_name(self) -> str:
        database, wanted = self._options.database, "name a scratch database"
        with closing(connect_beside(self._options.server, (database,), wanted)) as connection:
            taken = database_names(connection, wanted)
        return name_beside(database, DRILL, self._context.clock.now(), taken)

    def judge(self, findings: _Findings, missed: list[str]) -> Result:
        """Record the proof; raises `integrity` where it fails, `failed_state` for objectives."""
        backup, problems = self._backup, findings.problems
        recovery_s = findings.recovery_s or 0.0
        state = {"backup": backup.id, "age_s": round(backup.age_s, 1), **findings.as_dict()}
        self._record(not problems, {**findings.as_dict(), "problems": problems})
        tables = [vars(table) for table in _tables(findings)]
        if problems:
            raise OperationError(
                Reason.INTEGRITY,
                f"prove backup {backup.id}",
                "; ".join(problems[:3]),
                "Make a new backup and drill it, and look into the database that was backed up",
                state=state,
                tables=tables,
            )
        if missed:
            raise OperationError(
                Reason.FAILED_STATE,
                f"meet the objectives with backup {backup.id}, which restores whole",
                "; ".join(missed),
                "Back up more often, or give restores more jobs and faster disks",
                state=state,
                tables=tables,
            )
        actions = [f"dropped {each}, which a killed run left" for each in self._dropped]
        actions.append(f"restored {backup.id} into a scratch database and dropped it")
        return Result(
            changed=True,
            actions=actions,
            state=state,
            summary=(
                f"{findings.restored.rows if findings.restored else 0} rows proved,"
                f" recovery in {duration_text(recovery_s)}, {age_text(backup.age_s)} old"
            ),
            tables=_tables(findings),
            stats={"cost_agent_recovery_s": recovery_s},
        )

    def _record(self, ok: bool, found: dict[str, Any]) -> None:
        now = self._context.clock.now()
        record = {
            "at": utc_text(now),
            "ok": ok,
            "duration_s": found.get("recovery_s") or 0.0,
            "server": self._options.server.address,
            **found,
        }
        try:
            record_proof(self._repository, self._layout, self._backup.id, PROOF_KIND, record)
            update_catalog(self._repository, self._layout)
        except OperationError:
            if ok:
                raise
            # What disproves the backup is said either way, and matters more.


def _tables(findings: _Findings) -> list[Table]:
    found = []
    if findings.answers:
        found.append(
            Table(
                ["check", "expected", "seen", ""],
                [
                    [each.name, each.expect, each.seen, "ok" if each.ok else "wrong"]
                    for each in findings.answers
                ],
            )
        )
    if findings.indexes and findings.indexes.broken:
        found.append(Table(["broken index"], [[each] for each in findings.indexes.broken]))
    return found


def _arguments() -> dict[str, dict[str, Any]]:
    return {
        **restore_arguments(),
        "amcheck": {"type": "bool", "default": True},
        "checks": sql_check_arguments(),
        "max_age": {"type": "str"},
        "max_duration_s": {"type": "float"},
    }


POSTGRES_DRILL = Operation("postgres_drill", _arguments(), _run)
