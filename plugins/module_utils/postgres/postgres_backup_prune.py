# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The `postgres_backup_prune` module: remove the backups that no rule keeps."""

from __future__ import annotations

from contextlib import closing
from itertools import islice

from ..core.context import Context
from ..core.lock import Lease, require_free
from ..core.operation import Operation, Params
from ..core.readable import age_text, read_duration, size_text
from ..core.result import Result, Table
from ..repository import Repository, open_repository, repository_arguments, state_store_of
from .sets.catalog import list_backups, update_catalog
from .sets.layout import Layout
from .sets.prune_plan import PrunePlan, plan_prune
from .sets.retention import Policy

_KEYS_AT_ONCE = 1000  # one DeleteObjects request of S3


def run(params: Params, context: Context) -> Result:
    """Plan and remove, while no backup of this database is made or restored in this repository.

    Check mode plans without the lock, and touches nothing.
    """
    policy = Policy.of(params)
    unfinished_after_s = read_duration("unfinished_after", params["unfinished_after"])
    layout = Layout(params["database"])
    with closing(open_repository(params, context.clock)) as repository:
        if context.check_mode:
            plan = _plan(repository, layout, policy, unfinished_after_s, context)
            return _result(plan, repository.unfinished_uploads(layout.sets), True)
        store = state_store_of(repository)
        purpose = f"prune of {layout.database}'s backups"
        with Lease(store, layout.lock, purpose, context.clock) as lease:
            for lock in (layout.restore_lock, layout.drill_lock):
                require_free(store, lock, purpose, context.clock)
            plan = _plan(repository, layout, policy, unfinished_after_s, context, lease)
            aborted = repository.abort_uploads(layout.sets)
            if plan.removed:
                _remove(repository, layout, plan, context, lease)
                update_catalog(repository, layout)
            return _result(plan, aborted, False)


def _plan(
    repository: Repository,
    layout: Layout,
    policy: Policy,
    unfinished_after_s: float,
    context: Context,
    lease: Lease | None = None,
) -> PrunePlan:
    found = list_backups(repository, layout, context.clock.now())
    return plan_prune(
        repository, layout, found, policy, unfinished_after_s, lease.keep if lease else _do_nothing
    )


def _do_nothing() -> None:
    """What check mode does for its lock."""


def _remove(
    repository: Repository, layout: Layout, plan: PrunePlan, context: Context, lease: Lease
) -> None:
    """First all manifests: whatever ends this run, no set looks finished and is not.

    What is left then is unfinished sets, for the next prune. Proofs go before data, because a
    set is found by its data.
    """
    ids = [each.backup.id for each in plan.removed]
    data = [each.key for each in plan.objects]
    total = 2 * len(ids) + len(data)
    done = repository.delete(layout.manifest(each) for each in ids)
    rest = iter([*(layout.proof(each) for each in ids), *data])
    while keys := list(islice(rest, _KEYS_AT_ONCE)):
        lease.keep()
        context.progress.update("objects removed", done, total)
        done += repository.delete(keys)


def _result(plan: PrunePlan, aborted: int, would: bool) -> Result:
    freed = plan.freed_bytes
    verb = "would remove" if would else "removed"
    actions = [
        f"{verb} {each.backup.kind} {each.backup.id}, {size_text(each.size)}: {each.reason}"
        for each in plan.removed
    ]
    if aborted:
        actions.append(f"{'would end' if would else 'ended'} {aborted} unfinished uploads")
    counts = f"{len(plan.removed)} of {len(plan.entries)}"
    return Result(
        changed=bool(actions),
        actions=actions,
        state={
            "removed": [each.as_state() for each in plan.removed],
            "kept": [each.as_state() for each in plan.kept],
            "freed_bytes": freed,
            "aborted_uploads": aborted,
        },
        summary=(
            f"{verb} {counts} sets, {size_text(freed)}"
            if plan.removed
            else f"nothing to remove, {len(plan.entries)} kept"
        ),
        tables=[_table(plan, would)] if plan.entries else [],
    )


def _table(plan: PrunePlan, would: bool) -> Table:
    verb = "remove" if would else "removed"
    return Table(
        ["backup", "age", "size", "", "why"],
        [
            [
                each.backup.id,
                age_text(each.backup.age_s),
                size_text(each.size),
                "kept" if each.keep else verb,
                each.reason,
            ]
            for each in plan.entries
        ],
    )


POSTGRES_BACKUP_PRUNE = Operation(
    name="postgres_backup_prune",
    argument_spec={
        "database": {"type": "str", "default": "cost_agent"},
        **repository_arguments(),
        "keep_last": {"type": "int", "default": 0},
        "keep_daily": {"type": "int", "default": 0},
        "keep_weekly": {"type": "int", "default": 0},
        "keep_monthly": {"type": "int", "default": 0},
        "keep_yearly": {"type": "int", "default": 0},
        "unfinished_after": {"type": "str", "default": "1d"},
    },
    run=run,
)
