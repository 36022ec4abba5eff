# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The `postgres_backup_verify` module: read backups back, compare, and record what was found."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any

from ..core.context import Context
from ..core.errors import OperationError, Reason, invalid_option
from ..core.operation import Operation, Params
from ..core.readable import duration_text, size_text, utc_text
from ..core.result import Result, Table
from ..repository import Repository, open_repository, repository_arguments
from .sets.backup_summary import BACKUP, DAMAGED, FAILED, NEVER, NEWER, OK, BackupSummary
from .sets.catalog import LATEST, list_backups, read_manifest, update_catalog
from .sets.identity_options import given_identities, identity_arguments
from .sets.layout import Layout
from .sets.proofs import VERIFIED, record_proof
from .sets.set_check import Problem, SetCheck

_ALL = "all"
_UNVERIFIED = "unverified"
_JOBS = range(1, 33)
_KEPT_PROBLEMS = 50
_MB = 1e6


@dataclass(frozen=True)
class _Finding:
    """What reading one backup back has shown; `opened` says whether its files were opened too."""

    backup: BackupSummary
    problems: list[Problem]
    opened: bool
    read_bytes: int
    duration_s: float

    @property
    def ok(self) -> bool:
        return not self.problems

    @property
    def is_news(self) -> bool:
        """Whether the record says something else now than its time."""
        return self.backup.verified != (OK if self.ok else FAILED)

    def as_state(self) -> dict[str, Any]:
        return {
            "id": self.backup.id,
            "ok": self.ok,
            "opened": self.opened,
            "read_bytes": self.read_bytes,
            "duration_s": round(self.duration_s, 3),
            "problem_count": len(self.problems),
            "problems": [asdict(each) for each in self.problems[:_KEPT_PROBLEMS]],
        }


def run(params: Params, context: Context) -> Result:
    """Verify what was asked for, all of it, then fail with `integrity` if any is damaged.

    Check mode reads nothing back: it says which ones it would verify.
    """
    jobs = params["jobs"]
    if jobs not in _JOBS:
        raise invalid_option(
            "jobs", f"{jobs} is given", f"Give a number from {_JOBS[0]} to {_JOBS[-1]}"
        )
    identities = given_identities(params)
    layout = Layout(params["database"])
    with closing(open_repository(params, context.clock)) as repository:
        found = list_backups(repository, layout, context.clock.now())
        chosen = choose(found, params["backup"], repository, layout)
        if context.check_mode:
            return _would_verify(chosen)
        run_of = _Verification(repository, layout, identities, jobs, chosen, context)
        try:
            for backup in chosen:
                run_of.verify(backup)
        finally:
            if run_of.findings:
                update_catalog(repository, layout)
        return run_of.result(next((each for each in found if run_of.may_serve(each)), None))


def choose(
    found: Sequence[BackupSummary], wanted: str, repository: Repository, layout: Layout
) -> list[BackupSummary]:
    """The backups to verify, newest first.

    Raises `precondition` where there is no such one, `invalid_input` for what is no id.
    """
    finished = [each for each in found if each.kind in (BACKUP, DAMAGED, NEWER)]
    if wanted == _ALL:
        return [each for each in finished if each.kind != NEWER]
    if wanted == _UNVERIFIED:
        return [each for each in finished if each.kind != NEWER and each.verified == NEVER]
    if wanted == LATEST and not finished:
        raise OperationError(
            Reason.PRECONDITION,
            f"verify the latest backup of {layout.database}",
            f"{repository.url} has no finished one",
            "Make one with postgres_backup",
        )
    if wanted == LATEST:
        return finished[:1]
    chosen = [each for each in finished if each.id == wanted]
    if not chosen:
        read_manifest(repository, layout, wanted)  # says why there is none
    return chosen


def _would_verify(chosen: Sequence[BackupSummary]) -> Result:
    size = sum(each.size or 0 for each in chosen)
    text = f"{_count(len(chosen))}, {size_text(size)}"
    return Result(
        changed=any(each.verified != OK for each in chosen),
        actions=[f"would verify backup {each.id}" for each in chosen],
        state={"backups": [], "would_verify": [each.id for each in chosen], "read_bytes": 0},
        summary=f"would verify {text}" if chosen else "nothing to verify",
    )


class _Verification:
    """One run over the chosen backups."""

    def __init__(
        self,
        repository: Repository,
        layout: Layout,
        identities: Sequence[Any] | None,
        jobs: int,
        chosen: Sequence[BackupSummary],
        context: Context,
    ) -> None:
        self._repository = repository
        self._layout = layout
        self._identities = identities
        self._jobs = jobs
        self._chosen = chosen
        self._clock = context.clock
        self._progress = context.progress
        self._started = context.clock.monotonic()
        self._total = sum(each.size or 0 for each in chosen)
        self.findings: list[_Finding] = []
        self.removed: list[str] = []

    def verify(self, backup: BackupSummary) -> None:
        """Read one back and record what was found."""
        started = self._clock.monotonic()
        opened, read_bytes = False, 0
        try:
            manifest = read_manifest(self._repository, self._layout, backup.id)
            check = SetCheck(self._repository, manifest, self._identities)
            problems = check.run(self._jobs, lambda: self._tick(backup, check))
            opened, read_bytes = check.opens_files, check.read_bytes
            if problems and self._is_removed(backup):
                self.removed.append(backup.id)
                return
        except OperationError as error:
            if error.reason is not Reason.INTEGRITY:
                raise
            problems = [Problem(self._layout.manifest(backup.id), None, error.seen)]
        took = self._clock.monotonic() - started
        finding = _Finding(backup, problems, opened, read_bytes, took)
        record = {"at": utc_text(self._clock.now()), **finding.as_state()}
        del record["id"]
        record_proof(self._repository, self._layout, backup.id, VERIFIED, record)
        self.findings.append(finding)

    def may_serve(self, backup: BackupSummary) -> bool:
        """Whether a backup is good, going by what is known now."""
        found = {each.backup.id: each.ok for each in self.findings}
        return backup.kind == BACKUP and found.get(backup.id, backup.is_good)

    def result(self, newest_good: BackupSummary | None) -> Result:
        """What was found; raises `integrity` where anything is damaged."""
        read = sum(each.read_bytes for each in self.findings)
        took = self._clock.monotonic() - self._started
        state = {
            "backups": [each.as_state() for each in self.findings],
            "removed_meanwhile": self.removed,
            "read_bytes": read,
        }
        bad = [each for each in self.findings if not each.ok]
        if bad:
            raise self._damaged(bad, state, newest_good)
        rate = read / _MB / max(took, 0.001)
        summary = (
            f"{_count(len(self.findings))} whole, {size_text(read)} in {duration_text(took)}, "
            f"{rate:.0f} MB/s"
        )
        return Result(
            changed=any(each.is_news for each in self.findings),
            actions=[_action(each) for each in self.findings],
            state=state,
            summary=summary if self.findings else "nothing to verify",
        )

    def _is_removed(self, backup: BackupSummary) -> bool:
        """Whether another run has pruned it while it was read."""
        key = self._layout.manifest(backup.id)
        return not any(each.key == key for each in self._repository.list(key))

    def _tick(self, backup: BackupSummary, check: SetCheck) -> None:
        done = sum(each.read_bytes for each in self.findings) + check.read_bytes
        elapsed = self._clock.monotonic() - self._started
        rate = done / _MB / elapsed if elapsed else 0
        self._progress.update(
            f"verify {backup.id}, {rate:.0f} MB/s: MB",
            round(done / _MB),
            round(max(self._total, done) / _MB),
        )

    def _damaged(
        self, bad: Sequence[_Finding], state: dict[str, Any], newest_good: BackupSummary | None
    ) -> OperationError:
        count = len(bad[0].problems)
        more = f", and {count - 1} more" if count > 1 else ""
        seen = f"{bad[0].backup.id} is damaged: {bad[0].problems[0]}{more}"
        if len(self.findings) > 1:
            seen = f"{len(bad)} of {len(self.findings)} are damaged; {seen}"
        next_step = "Make a new backup now: there is no good one"
        if newest_good is not None:
            next_step = f"Make a new backup; until then {newest_good.id} is the newest good one"
        table = Table(
            ["backup", "object", "file", "seen"],
            [
                [finding.backup.id, each.object.rpartition("/")[2], each.file or "", each.seen]
                for finding in bad
                for each in finding.problems[:_KEPT_PROBLEMS]
            ],
        )
        return OperationError(
            Reason.INTEGRITY,
            f"verify {_count(len(self.findings))} in {self._repository.url}",
            seen,
            next_step,
            state=state,
            changed=any(each.is_news for each in self.findings),
            actions=[_action(each) for each in self.findings],
            tables=[vars(table)],
        )


def _action(finding: _Finding) -> str:
    depth = "" if finding.opened else ", without opening its encrypted files"
    return f"recorded that {finding.backup.id} is {'whole' if finding.ok else 'damaged'}{depth}"


def _count(number: int) -> str:
    return f"{number} backup{'' if number == 1 else 's'}"


POSTGRES_BACKUP_VERIFY = Operation(
    name="postgres_backup_verify",
    argument_spec={
        "database": {"type": "str", "default": "cost_agent"},
        **repository_arguments(),
        "backup": {"type": "str", "default": LATEST},
        "jobs": {"type": "int", "default": 2},
        **identity_arguments(),
    },
    run=run,
)
