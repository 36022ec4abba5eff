# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""postgres_restore: a backup into a new database, which may take the place of the one in use."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import Any

from ..core.context import Context
from ..core.deadline import Deadline
from ..core.errors import OperationError, Reason, invalid_option
from ..core.lock import Lease
from ..core.operation import Operation, Params
from ..core.readable import duration_text
from ..core.result import Result, Table
from ..core.watch import Watch
from ..repository import Repository, open_repository, state_store_of
from .record.backup_history import RESTORE as RUN_KIND
from .record.run_record import RunRecord, recorded
from .restore.dump_restore import DumpRestore
from .restore.dump_source import locate
from .restore.new_database import (
    check_name_is_free,
    database_names,
    drop_leftovers,
    find_leftovers,
)
from .restore.restore_backup import BackupRestore, Plan, Restored
from .restore.restore_options import RestoreOptions, restore_arguments
from .server.analyze import analyze_tables
from .server.database_names import RESTORE, name_beside
from .server.maintenance_database import connect_beside
from .sets.catalog import LATEST, find_backup
from .sets.layout import Layout, is_backup_id
from .swap.rename_checks import check_may_swap
from .swap.swap import Swap, choose_kept, list_kept, swap_in, undo

_LONGEST_NAME_BYTES = 63


@dataclass(frozen=True)
class _Request:
    """What of the module's options only a restore has."""

    target: str | None
    swap: bool
    undo: bool
    swap_from: str | None
    analyze: bool

    @classmethod
    def of(cls, params: Params) -> _Request:
        """Raises `invalid_input`, and `precondition` for a swap that is not confirmed."""
        names = ("target", "swap", "undo", "swap_from", "analyze")
        request = cls(**{name: params[name] for name in names})
        request._check_together()
        if (request.swap or request.undo) and params["confirm"] != params["database"]:
            _not_confirmed(params)
        return request

    def _check_together(self) -> None:
        if self.undo and (self.swap or self.target or self.swap_from):
            raise invalid_option(
                "undo", "it is given with swap, target or swap_from", "Give undo without them"
            )
        if self.swap and self.target:
            raise invalid_option(
                "target", "it is given with swap, which names the database itself", "Give one"
            )
        if self.swap_from and not self.swap:
            raise invalid_option("swap_from", "swap is false", "Give swap: true with it")
        if self.target and len(self.target.encode()) > _LONGEST_NAME_BYTES:
            raise invalid_option(
                "target",
                f"it has more than {_LONGEST_NAME_BYTES} bytes",
                "Give a shorter name: PostgreSQL would cut it",
            )


def _not_confirmed(params: Params) -> None:
    given = params["confirm"]
    database = params["database"]
    raise OperationError(
        Reason.PRECONDITION,
        f"replace database {database}",
        "confirm is not given" if given is None else f"confirm is {given!r}",
        f"Pass confirm: {database} to say that this database is to be replaced",
    )


def _run(params: Params, context: Context) -> Result:
    options = RestoreOptions.of(params)
    request = _Request.of(params)
    with closing(open_repository(params, context.clock)) as repository:
        run = _Run(options, request, params, context, repository)
        if context.check_mode:
            return run.rehearse()
        if request.undo or request.swap_from:
            with run.lease("swap"):
                return run.rename()
        keeping = recorded(RUN_KIND, params, repository, context.clock)
        with keeping as record, run.lease("restore") as lease:
            result = run.restore(lease, record)
        result.state["notes"] += record.notes
        return result


class _Run:
    """One run of the module."""

    def __init__(
        self,
        options: RestoreOptions,
        request: _Request,
        params: Params,
        context: Context,
        repository: Repository,
    ) -> None:
        self._options = options
        self._request = request
        self._params = params
        self._context = context
        self._repository = repository

    def lease(self, what: str) -> Lease:
        """The lock that restores, swaps and undos of one database hold."""
        store = state_store_of(self._repository)
        database = self._options.database
        lock = Layout(database).restore_lock
        return Lease(store, lock, f"{what} of {database}", self._context.clock)

    def rehearse(self) -> Result:
        """What check mode says, once everything that can be seen beforehand was seen."""
        options, request = self._options, self._request
        database = options.database
        if request.undo:
            kept = self._kept()
            return _would(f"put {kept} back as {database}, and keep the current one as undone")
        if request.swap_from:
            self._check_may_swap([request.swap_from, database])
            return _would(f"swap {request.swap_from} in as {database}")
        source = self._source()
        plan = source.check()
        name = self._new_name()
        result = _would(f"restore {source.backup} into new database {name}")
        if request.swap:
            result.actions.append(f"would swap {name} in as {database}, and keep the old one")
        result.actions += [f"would drop leftover database {each}" for each in self._leftovers()]
        result.actions += [f"would create role {each}" for each in plan.to_create]
        result.state = {"backup": source.backup, "disk": _disk(plan)}
        return result

    def rename(self) -> Result:
        """Undo the last swap, or swap a database in that is there already."""
        options, swap_from, clock = self._options, self._request.swap_from, self._context.clock
        deadline = Deadline(clock, options.timeout_s)
        if swap_from is None:
            return _swapped(undo(options.server, options.database, deadline, clock))
        return _swapped(swap_in(options.server, swap_from, options.database, deadline, clock))

    def restore(self, lease: Lease, record: RunRecord) -> Result:
        """Restore into a new database, and swap it in where that is wanted."""
        options, clock = self._options, self._context.clock
        source = self._source()
        if isinstance(source, BackupRestore):
            record.manifest = source.manifest
        plan = source.check()
        name = self._new_name()
        dropped, left = drop_leftovers(options.server, options.database, clock)
        actions = [f"dropped {each}, which a killed run left" for each in dropped]
        watch = Watch(f"restore of {options.database}", options.timeout_s, lease, self._context)
        with source.into(name, RESTORE, plan, watch) as restored:
            actions.append(f"restored {source.backup} into new database {name}")
            began = watch.deadline.elapsed
            if self._request.analyze:
                watch.enter("analyze")
                left += analyze_tables(options.server, name, options.jobs, clock, watch.tick)
            analyze_s = watch.deadline.elapsed - began
            notes = [*restored.notes, *source.finish(name, plan), *left]
        result = _restored(source, plan, restored, watch.deadline.elapsed)
        result.state.update(analyze_s=round(analyze_s, 3), notes=notes)
        result.actions = actions
        if self._request.swap:
            self._swap(result, name, watch.deadline)
        return result

    def _swap(self, result: Result, name: str, deadline: Deadline) -> None:
        options = self._options
        try:
            swap = swap_in(options.server, name, options.database, deadline, self._context.clock)
        except OperationError as error:
            raise OperationError(
                error.reason,
                error.wanted,
                error.seen,
                f"{error.next_step}. The restored database is whole and stays: to swap it in"
                f" without another restore, give swap_from: {name}",
                **{**error.details, "state": {**result.state, **error.details.get("state", {})}},
            ) from error
        result.actions += swap.actions
        result.state["database"] = options.database
        result.state["swap"] = swap.as_dict()
        result.state["notes"] += swap.notes
        result.summary += f"; swapped in, down {swap.downtime_s:.2f} s"
        if swap.kept:
            result.summary += f", the old one is {swap.kept}"

    def _source(self) -> BackupRestore | DumpRestore:
        options, clock = self._options, self._context.clock
        if options.backup == LATEST or is_backup_id(options.backup):
            layout = Layout(options.database)
            _summary, manifest = find_backup(self._repository, layout, options.backup, clock.now())
            return BackupRestore(options, self._repository, manifest, clock)
        where, key = locate(options.backup, self._params["repository"])
        repository: Repository = self._repository
        if where != self._params["repository"]:
            repository = open_repository({**self._params, "repository": where}, clock)
        return DumpRestore(options, repository, key, clock)

    def _new_name(self) -> str:
        database, target = self._options.database, self._request.target
        wanted = f"restore into {target or 'a new database'}"
        with closing(self._beside(wanted)) as connection:
            taken = database_names(connection, wanted)
            if self._request.swap:
                deadline = Deadline(self._context.clock, self._options.timeout_s)
                check_may_swap(connection, [database], deadline, self._context.clock)
        if target is not None:
            check_name_is_free(target, taken, wanted)
        return target or name_beside(database, RESTORE, self._context.clock.now(), taken)

    def _check_may_swap(self, databases: list[str]) -> None:
        with closing(self._beside("swap a database in")) as connection:
            deadline = Deadline(self._context.clock, self._options.timeout_s)
            check_may_swap(connection, databases, deadline, self._context.clock)

    def _kept(self) -> str:
        database, now = self._options.database, self._context.clock.now()
        with closing(self._beside(f"undo the swap of {database}")) as connection:
            return choose_kept(list_kept(connection, database, now), database, None)

    def _leftovers(self) -> list[str]:
        database, now = self._options.database, self._context.clock.now()
        with closing(self._beside(f"look for leftovers of {database}")) as connection:
            return find_leftovers(connection, database, now)[0]

    def _beside(self, wanted: str) -> Any:
        return connect_beside(self._options.server, (self._options.database,), wanted)


def _would(what: str) -> Result:
    return Result(changed=True, actions=[f"would {what}"], summary=f"would {what}")


def _disk(plan: Plan) -> dict[str, int | None]:
    return {"needed_bytes": plan.needed, "free_bytes": plan.free}


def _restored(
    source: BackupRestore | DumpRestore,
    plan: Plan,
    restored: Restored,
    elapsed: float,
) -> Result:
    tables = []
    if isinstance(source, BackupRestore):
        largest = sorted(source.manifest.tables, key=lambda each: -each.rows)[:5]
        cells = [[f"{each.schema}.{each.name}", str(each.rows)] for each in largest]
        tables = [Table(["largest tables", "rows, as in the backup"], cells)]
    return Result(
        changed=True,
        state={
            "database": restored.name,
            "restored_as": restored.name,
            "backup": source.backup,
            "rows": restored.rows,
            "tables": restored.tables,
            "restore_s": round(elapsed, 3),
            "load_s": restored.load_s,
            "disk": _disk(plan),
        },
        summary=(
            f"{restored.rows} rows in {restored.tables} tables into {restored.name}, "
            f"{duration_text(elapsed)}"
        ),
        tables=tables,
    )


def _swapped(swap: Swap) -> Result:
    return Result(
        changed=True,
        actions=swap.actions,
        state={"database": swap.database, "swap": swap.as_dict(), "notes": swap.notes},
        summary=f"{swap.came_from} is {swap.database} now, down {swap.downtime_s:.2f} s",
    )


POSTGRES_RESTORE = Operation(
    "postgres_restore",
    {
        **restore_arguments(),
        "target": {"type": "str"},
        "swap": {"type": "bool", "default": False},
        "confirm": {"type": "str"},
        "undo": {"type": "bool", "default": False},
        "swap_from": {"type": "str"},
        "analyze": {"type": "bool", "default": True},
    },
    _run,
)
