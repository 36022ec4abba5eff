# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which release an agent is started from: installing, recording as good, rolling back.

Neither operation touches a running replica; `agent` brings replicas to the current release.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.context import Context
from ..core.deadline import Deadline
from ..core.errors import OperationError, Reason, invalid_option
from ..core.lock import hold
from ..core.operation import Operation, Params
from ..core.result import Result
from .agent_options import Agent, at_least, read_agent
from .arguments import platform_arguments
from .process.layout import Layout
from .process.release_install import Installation, app_module, install, prepare
from .process.release_source import ReleaseSource, open_source
from .process.releases import (
    ReleaseRecord,
    Releases,
    check_release_id,
    last_good,
    surplus,
)


@dataclass(frozen=True)
class _Plan:
    """What a deploy will do, found out before any of it is done."""

    release: str
    previous: str | None
    installation: Installation | None
    remnants: list[Path]
    surplus: list[ReleaseRecord]
    keep: int

    def actions(self) -> list[str]:
        done = [f"Removed {path.name}, left by a run that was killed" for path in self.remnants]
        if self.installation is not None:
            done.append(f"Installed release {self.release} from {self.installation.source.path}")
        if self.release != self.previous:
            done.append(_switched(self.previous, self.release))
        done += [
            f"Removed release {record.id}, older than the newest {self.keep}"
            for record in self.surplus
        ]
        return done


def _run_release(params: Params, context: Context) -> Result:
    agent = read_agent(params)
    if params["release"] is not None:
        check_release_id(params["release"])
    at_least("keep", params["keep"], 1)
    deadline = _deadline(params, context)
    layout = Layout(agent.home, agent.name)
    releases = Releases(layout, agent.store)
    with _exclusive(agent, "agent_release", deadline, context):
        if params["state"] == "good":
            return _record_good(params["release"], releases, context)
        return _deploy(params, layout, releases, deadline, context)


def _run_rollback(params: Params, context: Context) -> Result:
    agent = read_agent(params)
    if params["to"] is not None:
        check_release_id(params["to"])
    deadline = _deadline(params, context)
    releases = Releases(Layout(agent.home, agent.name), agent.store)
    with _exclusive(agent, "agent_rollback", deadline, context):
        return _roll_back(params["to"], releases, context)


def _deploy(
    params: Params, layout: Layout, releases: Releases, deadline: Deadline, context: Context
) -> Result:
    release = params["release"]
    installed = {record.id: record for record in releases.records()}.get(release)
    with _source(params, layout, installed) as source:
        if installed is not None and source is not None:
            _require_same_content(installed, source)
        installation = None
        if installed is None and source is not None:
            installation = prepare(params, source, layout)
        plan = _plan(release, installation, params["keep"], releases, context)
        notes: list[str] = []
        venv_s = 0.0
        if not context.check_mode:
            venv_s, notes = _carry_out(plan, layout, releases, deadline, context)
    actions = plan.actions()
    return Result(
        changed=bool(actions),
        actions=actions,
        state=_state(releases, release, plan.previous, notes),
        summary=_deploy_summary(plan, venv_s),
        diff=_diff(plan.previous, release),
    )


@contextlib.contextmanager
def _source(
    params: Params, layout: Layout, installed: ReleaseRecord | None
) -> Iterator[ReleaseSource | None]:
    """The source, read; None for an installed release whose source is not given or is gone."""
    module = app_module(params["app"])
    given = Path(params["source"]).absolute() if params["source"] is not None else None
    if installed is not None and (given is None or not given.exists()):
        yield None
        return
    if given is None:
        raise OperationError(
            Reason.PRECONDITION,
            f"install release {params['release']}",
            "it is not installed yet, and no source is given",
            "Give source, the path of the release on the target",
        )
    if given == layout.home or given in layout.home.parents:
        raise invalid_option("source", f"the agent's home is inside {given}", "Keep the two apart")
    with open_source(given, module) as source:
        yield source


def _require_same_content(installed: ReleaseRecord, source: ReleaseSource) -> None:
    if installed.digest == source.digest:
        return
    raise OperationError(
        Reason.PRECONDITION,
        f"install release {installed.id} from {source.path}",
        f"release {installed.id} is installed already, with other content",
        "Give the new content a new id: what an id names never changes",
        state={"installed_digest": installed.digest, "source_digest": source.digest},
    )


def _plan(
    release: str,
    installation: Installation | None,
    keep: int,
    releases: Releases,
    context: Context,
) -> _Plan:
    current, records = releases.current(), releases.records()
    proved = last_good([record for record in records if record.id != release])
    if installation is not None:
        new = releases.planned(release, installation.source.digest, context.clock.now())
        records = [new, *records]
    protected = releases.in_use() | {release} | ({proved.id} if proved else set())
    return _Plan(
        release=release,
        previous=current.id if current else None,
        installation=installation,
        remnants=[path for path in releases.remnants() if path.name != release],
        surplus=surplus(records, keep, protected),
        keep=keep,
    )


def _carry_out(
    plan: _Plan, layout: Layout, releases: Releases, deadline: Deadline, context: Context
) -> tuple[float, list[str]]:
    """The seconds that the venv took, and what could not be removed.

    Old files that stay cost space; they are no reason to call a deploy failed.
    """
    notes = releases.remove_all(plan.remnants)
    seconds = 0.0
    if plan.installation is not None:
        seconds = install(plan.installation, layout, releases, deadline, context)
    if plan.release != plan.previous:
        releases.forget_good(plan.release)
        releases.switch(plan.release)
    return seconds, notes + releases.remove_all([record.folder for record in plan.surplus])


def _record_good(wanted: str | None, releases: Releases, context: Context) -> Result:
    current = releases.current()
    if current is None or (wanted is not None and wanted != current.id):
        if context.check_mode and wanted is not None:
            return _foretold_good(wanted, current, releases)
        raise OperationError(
            Reason.PRECONDITION,
            f"record {f'release {wanted}' if wanted else 'the current release'} as good",
            f"the current release is {current.id if current else 'none'}",
            "Deploy the release, prove it healthy, then record it",
        )
    newest = last_good(releases.records())
    changed = newest is None or newest.id != current.id
    if changed and not context.check_mode:
        releases.mark_good(current, context.clock.now())
    return Result(
        changed=changed,
        actions=[f"Recorded release {current.id} as good"] if changed else [],
        state=_state(releases, current.id, current.id, []),
        summary=f"{current.id} recorded good" if changed else f"{current.id} is the last good one",
        diff=_good_diff(current.id, newest),
    )


def _foretold_good(wanted: str, current: ReleaseRecord | None, releases: Releases) -> Result:
    """In check mode the release may be one that an earlier step would have made current."""
    newest = last_good(releases.records())
    return Result(
        changed=True,
        actions=[f"Recorded release {wanted} as good"],
        state=_state(releases, wanted, current.id if current else None, []),
        summary=f"{wanted} recorded good",
        diff=_good_diff(wanted, newest),
    )


def _good_diff(release: str, newest: ReleaseRecord | None) -> dict[str, Any]:
    return {
        "before": {"last_good": newest.id if newest else None},
        "after": {"last_good": release},
    }


def _roll_back(to: str | None, releases: Releases, context: Context) -> Result:
    current, records = releases.current(), releases.records()
    before = current.id if current else None
    target = _rollback_target(to, current, records)
    changed = target.id != before
    if changed and not context.check_mode:
        releases.switch(target.id)
    summary = f"from {before or 'none'} to {target.id}"
    if not changed:
        summary = f"{target.id} is current" + ("" if to else " and recorded good")
    return Result(
        changed=changed,
        actions=[_switched(before, target.id)] if changed else [],
        state=_state(releases, target.id, before, []),
        summary=summary,
        diff=_diff(before, target.id),
    )


def _rollback_target(
    to: str | None, current: ReleaseRecord | None, records: list[ReleaseRecord]
) -> ReleaseRecord:
    """The release to roll back to; the current one where there is nothing to roll back from.

    Raises `precondition` when there is no such release.
    """
    if to is not None:
        target = next((record for record in records if record.id == to), None)
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


def _switched(before: str | None, after: str) -> str:
    return f"Switched the current release from {before or 'none'} to {after}"


def _deploy_summary(plan: _Plan, venv_s: float) -> str:
    if plan.release == plan.previous:
        return "current already"
    parts = [f"from {plan.previous}" if plan.previous else "no release before"]
    if plan.installation is None:
        parts.append("installed before")
    elif venv_s:
        parts.append(f"venv built in {venv_s:.1f} s")
    return ", ".join(parts)


def _diff(before: str | None, after: str) -> dict[str, Any]:
    return {"before": {"release": before}, "after": {"release": after}}


def _state(
    releases: Releases, current: str, previous: str | None, notes: list[str]
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
            for record in releases.records()
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
