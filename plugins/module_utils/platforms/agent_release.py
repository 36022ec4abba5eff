# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which release an agent is started from: installing, recording as good, rolling back.

Neither operation touches a running replica; `agent` brings replicas to the current release.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from ..core.context import Context
from ..core.deadline import Deadline
from ..core.errors import OperationError, Reason, invalid_option
from ..core.lock import hold
from ..core.operation import Operation, Params
from ..core.result import Result
from .agent_options import Agent, at_least, read_agent
from .arguments import platform_arguments
from .drivers import open_driver, open_migrator, open_release_store
from .migration import Migration, Migrator, read_command
from .releases import Installation, Release, ReleaseStore, last_good, surplus


@dataclass(frozen=True)
class _Plan:
    """What a deploy will do, found out before any of it is done."""

    release: str
    previous: str | None
    installation: Installation | None
    remnants: list[str]
    surplus: list[Release]
    keep: int
    migration: Migration | None = None

    @property
    def migrates(self) -> bool:
        """A release that is current was migrated before it became so."""
        return self.migration is not None and self.release != self.previous

    def actions(self) -> list[str]:
        done = [f"Removed {name}, left by a run that was killed" for name in self.remnants]
        if self.installation is not None:
            done.append(f"Installed release {self.release} from {self.installation.origin}")
        if self.migrates:
            done.append(f"Ran the migration {self.migration}")
        if self.release != self.previous:
            done.append(_switched(self.previous, self.release))
        done += [
            f"Removed release {release.id}, older than the newest {self.keep}"
            for release in self.surplus
        ]
        return done


def _run_release(params: Params, context: Context) -> Result:
    agent = read_agent(params)
    store = open_release_store(agent)
    if params["release"] is not None:
        store.check_id(params["release"])
    at_least("keep", params["keep"], 1)
    read_command(params["migration"])
    deadline = _deadline(params, context)
    with _exclusive(agent, "agent_release", deadline, context):
        if params["state"] == "good":
            return _record_good(params["release"], store, context)
        return _deploy(agent, params, store, deadline, context)


def _run_rollback(params: Params, context: Context) -> Result:
    agent = read_agent(params)
    store = open_release_store(agent)
    if params["to"] is not None:
        store.check_id(params["to"])
    deadline = _deadline(params, context)
    with _exclusive(agent, "agent_rollback", deadline, context):
        return _roll_back(params["to"], store, context)


def _deploy(
    agent: Agent, params: Params, store: ReleaseStore, deadline: Deadline, context: Context
) -> Result:
    release = params["release"]
    migration = _migration(agent, params, context)
    migrator = open_migrator(agent) if migration else None
    installed = {each.id: each for each in store.releases()}.get(release)
    with store.prepare(release, params, installed) as installation:
        plan = _plan(release, installation, params["keep"], store, context)
        plan = replace(plan, migration=migration)
        notes: list[str] = []
        took = ""
        if not context.check_mode:
            took, notes = _carry_out(plan, store, migrator, deadline, context)
    actions = plan.actions()
    return Result(
        changed=bool(actions),
        actions=actions,
        state=_state(store, release, plan.previous, notes),
        summary=_deploy_summary(plan, took),
        diff=_diff(plan.previous, release),
    )


def _plan(
    release: str,
    installation: Installation | None,
    keep: int,
    store: ReleaseStore,
    context: Context,
) -> _Plan:
    current, releases = store.current(), list(store.releases())
    proved = last_good([each for each in releases if each.id != release])
    if installation is not None:
        releases = [Release(release, installation.digest, context.clock.now()), *releases]
    protected = store.in_use() | {release} | ({proved.id} if proved else set())
    return _Plan(
        release=release,
        previous=current.id if current else None,
        installation=installation,
        remnants=[name for name in store.remnants() if name != release],
        surplus=surplus(releases, keep, protected),
        keep=keep,
    )


def _migration(agent: Agent, params: Params, context: Context) -> Migration | None:
    """The migration with the environment that replicas of the release will have."""
    command = read_command(params["migration"])
    if not command:
        return None
    environment = open_driver(agent, None, context.clock).environment()
    return Migration(
        command, environment.updated(params["environment"], params["environment_secrets"])
    )


def _carry_out(
    plan: _Plan,
    store: ReleaseStore,
    migrator: Migrator | None,
    deadline: Deadline,
    context: Context,
) -> tuple[str, list[str]]:
    """What took its time, and what could not be removed.

    Old files that stay cost space; they are no reason to call a deploy failed.
    """
    notes = store.remove(plan.remnants)
    took = ""
    if plan.installation is not None:
        took = plan.installation.carry_out(deadline, context)
    if plan.migration is not None and migrator is not None and plan.migrates:
        begun = context.clock.monotonic()
        migrator.migrate(plan.release, plan.migration, deadline, context)
        migrated = f"migrated in {context.clock.monotonic() - begun:.1f} s"
        took = f"{took}, {migrated}" if took else migrated
    if plan.release != plan.previous:
        store.forget_good(plan.release)
        store.switch(plan.release)
    return took, notes + store.remove([release.id for release in plan.surplus])


def _record_good(wanted: str | None, store: ReleaseStore, context: Context) -> Result:
    current = store.current()
    if current is None or (wanted is not None and wanted != current.id):
        if context.check_mode and wanted is not None:
            return _foretold_good(wanted, current, store)
        raise OperationError(
            Reason.PRECONDITION,
            f"record {f'release {wanted}' if wanted else 'the current release'} as good",
            f"the current release is {current.id if current else 'none'}",
            "Deploy the release, prove it healthy, then record it",
        )
    newest = last_good(store.releases())
    known = (newest.id, newest.setup) if newest else None
    changed = known != (current.id, current.setup)
    if changed and not context.check_mode:
        store.mark_good(current, context.clock.now())
    return Result(
        changed=changed,
        actions=[f"Recorded release {current.id} as good"] if changed else [],
        state=_state(store, current.id, current.id, []),
        summary=f"{current.id} recorded good" if changed else f"{current.id} is the last good one",
        diff=_good_diff(current.id, newest),
    )


def _foretold_good(wanted: str, current: Release | None, store: ReleaseStore) -> Result:
    """In check mode the release may be one that an earlier step would have made current."""
    newest = last_good(store.releases())
    return Result(
        changed=True,
        actions=[f"Recorded release {wanted} as good"],
        state=_state(store, wanted, current.id if current else None, []),
        summary=f"{wanted} recorded good",
        diff=_good_diff(wanted, newest),
    )


def _good_diff(release: str, newest: Release | None) -> dict[str, Any]:
    return {
        "before": {"last_good": newest.id if newest else None},
        "after": {"last_good": release},
    }


def _roll_back(to: str | None, store: ReleaseStore, context: Context) -> Result:
    current, records = store.current(), list(store.releases())
    before = current.id if current else None
    target = _rollback_target(to, current, records, store)
    changed = target.id != before or _is_another_setup(target, current)
    if changed and not context.check_mode:
        store.switch(target.id, target.setup)
    summary = f"from {before or 'none'} to {target.id}"
    if target.id == before:
        summary = f"to what {target.id} ran with"
    if not changed:
        summary = f"{target.id} is current" + ("" if to else " and recorded good")
    return Result(
        changed=changed,
        actions=[_rolled_back(before, target)] if changed else [],
        state=_state(store, target.id, before, []),
        summary=summary,
        diff=_diff(before, target.id),
    )


def _rollback_target(
    to: str | None, current: Release | None, records: list[Release], store: ReleaseStore
) -> Release:
    """The release to roll back to; the current one where there is nothing to roll back from.

    Raises `precondition` when there is no such release.
    """
    if to is not None:
        target = store.named(to)
        wanted, seen = f"roll back to release {to}", "it is not installed"
    elif current is not None and current.good_at is not None:
        return current
    else:
        target = last_good(records)
        wanted, seen = "roll back", "no release here is recorded good"
    if target is not None:
        return target
    raise OperationError(
        Reason.PRECONDITION,
        wanted,
        seen,
        f"Name one of these with to: {', '.join(record.id for record in records)}"
        if records
        else "Deploy a release with agent_release",
        state={"releases": [record.id for record in records]},
    )


@contextlib.contextmanager
def _exclusive(agent: Agent, purpose: str, deadline: Deadline, context: Context) -> Iterator[None]:
    """The agent's lock, which check mode does not need and must not take."""
    if context.check_mode:
        yield
        return
    with hold(agent.store, agent.name, purpose, deadline, context.clock):
        yield


def _deadline(params: Params, context: Context) -> Deadline:
    seconds = params["timeout_s"]
    if not 0 < seconds < math.inf:
        raise invalid_option("timeout_s", f"{seconds:g} is no time limit", "Give seconds above 0")
    return Deadline(context.clock, seconds)


def _is_another_setup(target: Release, current: Release | None) -> bool:
    return bool(target.setup) and current is not None and target.setup != current.setup


def _rolled_back(before: str | None, target: Release) -> str:
    if before == target.id:
        return f"Brought back what {target.id} ran with"
    return _switched(before, target.id)


def _switched(before: str | None, after: str) -> str:
    return f"Switched the current release from {before or 'none'} to {after}"


def _deploy_summary(plan: _Plan, took: str) -> str:
    if plan.release == plan.previous:
        return "current already"
    parts = [f"from {plan.previous}" if plan.previous else "no release before"]
    if plan.installation is None:
        parts.append("installed before")
    if took:
        parts.append(took)
    return ", ".join(parts)


def _diff(before: str | None, after: str) -> dict[str, Any]:
    return {"before": {"release": before}, "after": {"release": after}}


def _state(
    store: ReleaseStore, current: str, previous: str | None, notes: list[str]
) -> dict[str, Any]:
    """The releases that there are; `current` is what a real run makes, or has made, current."""
    return {
        "release": current,
        "previous": previous,
        "releases": [
            {
                "id": record.id,
                "installed_at": record.installed_at,
                "good_at": record.good_at,
                "current": record.id == current,
                "digest": record.digest,
            }
            for record in store.releases()
        ],
        "not_removed": notes,
    }


AGENT_RELEASE = Operation(
    "agent_release",
    {
        **platform_arguments(),
        "state": {"type": "str", "choices": ["current", "good"], "default": "current"},
        "release": {"type": "str"},
        "source": {"type": "path"},
        "app": {"type": "str", "default": "src.main:app"},
        "requirements": {"type": "str", "default": "requirements.txt"},
        "wheelhouse": {"type": "path"},
        "index_url": {"type": "str", "no_log": True},
        "python": {"type": "path"},
        "keep": {"type": "int", "default": 5},
        "migration": {"type": "list", "elements": "str"},
        "environment": {"type": "dict"},
        "environment_secrets": {"type": "dict", "no_log": True},
        "timeout_s": {"type": "float", "default": 600},
    },
    _run_release,
    {"required_if": [("state", "current", ("release",))]},
)

AGENT_ROLLBACK = Operation(
    "agent_rollback",
    {
        **platform_arguments(),
        "to": {"type": "str"},
        "timeout_s": {"type": "float", "default": 60},
    },
    _run_rollback,
)
