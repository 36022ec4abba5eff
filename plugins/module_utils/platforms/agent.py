# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The `agent` module: started, stopped or restarted, whatever was there before."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..core.context import Context
from ..core.deadline import Deadline
from ..core.errors import OperationError, Reason
from ..core.lock import hold
from ..core.operation import Operation, Params
from ..core.result import Result
from .agent_options import (
    Agent,
    Limits,
    Serving,
    read_agent,
    read_limits,
    read_replicas,
    read_serving,
    require_ports,
)
from .agent_state import replica_table, summary
from .arguments import platform_arguments, serving_arguments
from .autoscaling.records import require_within_policy
from .ceiling import require_basis
from .drivers import open_driver
from .environment import Environment
from .intent import next_intent, read_intent, write_intent
from .protocol import (
    RESTARTED,
    SCALED,
    STARTED,
    STOPPED,
    AgentState,
    Driver,
    Goal,
    Intent,
    Plan,
    Replica,
    Report,
    Specification,
)
from .releases import Release


@dataclass(frozen=True)
class _Request:
    """The module's parameters, checked."""

    state: str
    replicas: int | None
    release: str | None
    agent: Agent
    serving: Serving
    limits: Limits
    environment: dict[str, Any] | None
    environment_secrets: dict[str, Any] | None
    canary: bool
    budget_basis: str | None


@dataclass(frozen=True)
class _Decision:
    """Everything that a run is going to do, decided before it touches anything."""

    before: AgentState
    environment_before: Environment
    goal: Goal
    plan: Plan

    @property
    def changed(self) -> bool:
        return (
            self.plan.changes
            or self.goal.environment != self.environment_before
            or self.goal.intent != self.before.intent
        )


def run(params: Params, context: Context) -> Result:
    """Bring the agent to the wanted state; the second run finds nothing to do."""
    request = _read(params)
    deadline = Deadline(context.clock, request.limits.timeout_s)
    driver = open_driver(request.agent, request.serving, context.clock)
    if context.check_mode:
        return _foretold(_decide(request, driver, context))
    lock = hold(request.agent.store, request.agent.name, request.state, deadline, context.clock)
    with lock:
        return _carried_out(request, driver, _decide(request, driver, context), deadline, context)


def _read(params: Params) -> _Request:
    """Check everything that needs no look at the machine, before a lock is taken."""
    Environment().updated(params["environment"], params["environment_secrets"])
    replicas = read_replicas(params["replicas"], params["port"])
    return _Request(
        state=params["state"],
        replicas=replicas,
        release=params["release"],
        agent=read_agent(params),
        serving=read_serving(params),
        limits=read_limits(params),
        environment=params["environment"],
        environment_secrets=params["environment_secrets"],
        canary=params["canary"],
        budget_basis=params["budget_basis"],
    )


def _decide(request: _Request, driver: Driver, context: Context) -> _Decision:
    """Observe, and decide. Raises `precondition` for what would stop the run half way."""
    with driver.reading_once():
        return _decided(request, driver, context)


def _decided(request: _Request, driver: Driver, context: Context) -> _Decision:
    agent = request.agent
    intent_before = read_intent(agent.store, agent.name)
    if request.state == SCALED:
        _require_started(agent.name, intent_before)
    intent = next_intent(
        request.state, request.replicas, intent_before, agent.platform, context.clock.now()
    )
    release = driver.release_store.current()
    environment_before = driver.environment()
    wanted = f"run {agent.name} within its connection budget"
    require_basis(request.budget_basis, agent, environment_before, wanted, context.clock)
    environment = environment_before.updated(request.environment, request.environment_secrets)
    specification, names = None, []
    if intent.state == STARTED:
        if request.replicas is not None and agent.platform != "kubernetes":
            require_within_policy(agent.store, agent.name, request.replicas)
        require_ports(request.serving.port, intent.replicas)
        specification = _specification(request, release, environment, context.check_mode)
        names = driver.names(intent.replicas)
    goal = Goal(
        intent=replace(intent, names=names),
        specification=specification,
        environment=environment,
        replace_all=request.state == RESTARTED,
        canary=request.canary,
        intent_before=intent_before,
    )
    plan = driver.plan(goal)
    before = AgentState(
        platform=agent.platform,
        name=agent.name,
        release=release.id if release else None,
        intent=intent_before,
        replicas=_there(plan.seen),
        releases=[each.shown() for each in driver.release_store.releases()],
    )
    return _Decision(before, environment_before, goal, plan)


def _require_started(name: str, intent: Intent | None) -> None:
    """A count is no wish to start what was stopped on purpose."""
    if intent is not None and intent.state == STARTED:
        return
    raise OperationError(
        Reason.PRECONDITION,
        f"scale {name}",
        "it is stopped on purpose" if intent else "it was never started",
        "Start it with that count (start.yml)",
    )


def _specification(
    request: _Request, current: Release | None, environment: Environment, check_mode: bool
) -> Specification:
    """What each replica shall run. In check mode the release may be one yet to be deployed."""
    digest = ""
    if current is not None and request.release in (None, current.id):
        release, digest = current.id, current.digest
    elif request.release is not None and check_mode:
        release = request.release
    else:
        wanted = f" release {request.release}" if request.release else ""
        raise OperationError(
            Reason.PRECONDITION,
            f"start {request.agent.name}{wanted}",
            f"its current release is {current.id}" if current else "no release is deployed",
            "Deploy a release first, with agent_release",
        )
    options = request.serving.started_with()
    return Specification(release, digest, environment.digest(), options)


def _there(replicas: Sequence[Replica]) -> list[Replica]:
    """Without the wanted ones of which there is no trace."""
    return [r for r in replicas if r.status != "stopped" or r.release or r.note]


def _foretold(decision: _Decision) -> Result:
    goal = decision.goal
    actions = decision.plan.foretold()
    if goal.environment != decision.environment_before:
        actions.insert(0, "Would write the environment")
    if goal.intent != decision.before.intent:
        actions.insert(0, f"Would remember {_intent_text(goal.intent)}")
    return Result(
        changed=decision.changed,
        actions=actions,
        state=asdict(decision.before),
        summary=summary(decision.before),
        diff=_diff(decision, decision.plan.expected()),
    )


def _carried_out(
    request: _Request, driver: Driver, decision: _Decision, deadline: Deadline, context: Context
) -> Result:
    agent, goal = request.agent, decision.goal
    report = Report()
    if goal.intent != decision.before.intent:
        write_intent(agent.store, agent.name, goal.intent)
        report.actions.append(f"Remembered {_intent_text(goal.intent)}")
    if goal.environment != decision.environment_before:
        driver.set_environment(goal.environment)
        report.actions.append("Wrote the environment")
    try:
        decision.plan.carry_out(request.limits, deadline, context, report)
    except OperationError as error:
        error.details.setdefault("changed", decision.changed)
        error.details["actions"] = report.actions
        # Observing may fail for the same reason; the first failure is the one to tell.
        with contextlib.suppress(OperationError):
            after = _observed(decision, driver)
            error.details.update(
                state=asdict(after), tables=[asdict(replica_table(after.replicas))]
            )
        raise
    after = _observed(decision, driver)
    return Result(
        changed=decision.changed,
        actions=report.actions,
        state=asdict(after),
        summary=_summary(decision, after, report.lowest_ready),
        diff=_diff(decision, decision.plan.shown(after.replicas)),
        stats=_stats(request, decision),
    )


def _stats(request: _Request, decision: _Decision) -> dict[str, Any] | None:
    """What a job keeps of a scale: the count before and after."""
    before = decision.before.intent
    if request.state != SCALED or before is None:
        return None
    counts = {"before": before.replicas, "after": decision.goal.intent.replicas}
    return {"cost_agent_scale": {request.agent.name: counts}}


def _observed(decision: _Decision, driver: Driver) -> AgentState:
    goal = decision.goal
    seen = driver.observe(goal.intent.names, goal.specification)
    return replace(decision.before, intent=goal.intent, replicas=_there(seen))


def _summary(decision: _Decision, after: AgentState, lowest_ready: int | None) -> str:
    count, before = decision.goal.intent.replicas, decision.before.intent
    scaled = ""
    if before and before.state == STARTED and before.replicas != count:
        scaled = f"from {before.replicas} to {count}: "
    if lowest_ready is None or decision.goal.canary:
        return scaled + summary(after)
    return f"{scaled}{count} of {count}, none below {lowest_ready} ready"


def _intent_text(intent: Intent) -> str:
    noun = "replica" if intent.replicas == 1 else "replicas"
    if intent.state == STOPPED:
        return f"that it is stopped on purpose, with {intent.replicas} {noun} to come back to"
    return f"that {intent.replicas} {noun} shall run"


def _diff(decision: _Decision, after: Mapping[str, Any]) -> dict[str, Any]:
    before, goal = decision.before, decision.goal
    return {
        "before": {
            "intent": before.intent.state if before.intent else None,
            "replicas": decision.plan.shown(before.replicas),
            "environment": decision.environment_before.shown(),
        },
        "after": {
            "intent": goal.intent.state,
            "replicas": after,
            "environment": goal.environment.shown(decision.environment_before),
        },
    }


AGENT = Operation(
    name="agent",
    argument_spec={
        **platform_arguments(),
        **serving_arguments(),
        "state": {
            "type": "str",
            "choices": [STARTED, STOPPED, RESTARTED, SCALED],
            "default": STARTED,
        },
        "release": {"type": "str"},
        "workers": {"type": "int", "default": 1},
        "environment": {"type": "dict"},
        "environment_secrets": {"type": "dict", "no_log": True},
        "memory_limit_mb": {"type": "int"},
        "cpu_limit_cores": {"type": "float"},
        "ready_path": {"type": "str", "default": "/api/v1/ready"},
        "stop_grace_s": {"type": "float", "default": 30},
        "timeout_s": {"type": "float", "default": 60},
        "stable_s": {"type": "float", "default": 0.5},
        "canary": {"type": "bool", "default": False},
        "budget_basis": {"type": "str"},
    },
    run=run,
    rules={"required_if": [("state", SCALED, ("replicas",))]},
)
