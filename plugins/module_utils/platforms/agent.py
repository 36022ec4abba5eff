# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The `agent` module: started, stopped or restarted, whatever was there before."""

from __future__ import annotations

import contextlib
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
from .converge import Convergence, Wave, changes, foretell, plan
from .drivers import open_driver
from .environment import Environment
from .intent import next_intent, read_intent, write_intent
from .protocol import (
    RESTARTED,
    STARTED,
    STOPPED,
    AgentState,
    Driver,
    Intent,
    Replica,
    Specification,
)


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


@dataclass(frozen=True)
class _Decision:
    """Everything that a run is going to do, decided before it touches anything."""

    before: AgentState
    intent: Intent
    environment_before: Environment
    environment: Environment
    specification: Specification | None
    wanted: list[str]
    waves: list[Wave]

    @property
    def changed(self) -> bool:
        return (
            changes(self.waves)
            or self.environment != self.environment_before
            or self.intent != self.before.intent
        )


def run(params: Params, context: Context) -> Result:
    """Bring the agent to the wanted state; the second run finds nothing to do."""
    request = _read(params)
    deadline = Deadline(context.clock, request.limits.timeout_s)
    driver = open_driver(request.agent, request.serving, context.clock)
    if context.check_mode:
        return _foretold(request, driver, _decide(request, driver, context))
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
    )


def _decide(request: _Request, driver: Driver, context: Context) -> _Decision:
    """Observe, and decide. Raises `precondition` for what would stop the run half way."""
    agent = request.agent
    intent_before = read_intent(agent.store, agent.name)
    intent = next_intent(request.state, request.replicas, intent_before, context.clock.now())
    environment_before = driver.environment()
    environment = environment_before.updated(request.environment, request.environment_secrets)
    specification, wanted = None, []
    if intent.state == STARTED:
        require_ports(request.serving.port, intent.replicas)
        specification = _specification(request, driver, environment, context.check_mode)
        wanted = driver.names(intent.replicas)
    intent = replace(intent, names=wanted)
    seen = driver.observe(wanted, specification)
    waves = plan(wanted, seen, replace_all=request.state == RESTARTED)
    if changes(waves) and wanted:
        # A replaced replica's port is its own still; only what starts anew must find one free.
        driver.require_startable([n for w in waves for n in w.start if n not in w.stop])
    release = driver.release()
    before = AgentState(agent.platform, agent.name, release[0] if release else None, intent_before)
    return _Decision(
        before=replace(before, replicas=_there(seen), releases=driver.releases()),
        intent=intent,
        environment_before=environment_before,
        environment=environment,
        specification=specification,
        wanted=wanted,
        waves=waves,
    )


def _specification(
    request: _Request, driver: Driver, environment: Environment, check_mode: bool
) -> Specification:
    """What each replica shall run. In check mode the release may be one yet to be deployed."""
    current = driver.release()
    digest = ""
    if current is not None and request.release in (None, current[0]):
        release, digest = current
    elif request.release is not None and check_mode:
        release = request.release
    else:
        wanted = f" release {request.release}" if request.release else ""
        raise OperationError(
            Reason.PRECONDITION,
            f"start {request.agent.name}{wanted}",
            f"its current release is {current[0]}" if current else "no release is deployed",
            "Deploy a release first, with agent_release",
        )
    options = request.serving.started_with()
    return Specification(release, digest, environment.digest(), options)


def _there(replicas: list[Replica]) -> list[Replica]:
    """Without the wanted ones of which there is no trace."""
    return [r for r in replicas if r.status != "stopped" or r.release or r.note]


def _foretold(request: _Request, driver: Driver, decision: _Decision) -> Result:
    release = decision.specification.release if decision.specification else None
    actions = foretell(decision.waves, decision.before.replicas, release)
    if decision.environment != decision.environment_before:
        actions.insert(0, "Would write the environment")
    if decision.intent != decision.before.intent:
        actions.insert(0, f"Would remember {_intent_text(decision.intent)}")
    after = dict.fromkeys(decision.wanted, f"ready {release}")
    return Result(
        changed=decision.changed,
        actions=actions,
        state=asdict(decision.before),
        summary=summary(decision.before),
        diff=_diff(decision, after, decision.intent),
    )


def _carried_out(
    request: _Request, driver: Driver, decision: _Decision, deadline: Deadline, context: Context
) -> Result:
    agent = request.agent
    actions = []
    if decision.intent != decision.before.intent:
        write_intent(agent.store, agent.name, decision.intent)
        actions.append(f"Remembered {_intent_text(decision.intent)}")
    if decision.environment != decision.environment_before:
        driver.set_environment(decision.environment)
        actions.append("Wrote the environment")
    convergence = Convergence(
        driver, decision.wanted, decision.specification, request.limits, deadline, context
    )
    try:
        convergence.carry_out(decision.waves)
    except OperationError as error:
        error.details.setdefault("changed", decision.changed)
        error.details["actions"] = actions + convergence.report.actions
        # Observing may fail for the same reason; the first failure is the one to tell.
        with contextlib.suppress(OperationError):
            after = _observed(decision, driver)
            error.details.update(
                state=asdict(after), tables=[asdict(replica_table(after.replicas))]
            )
        raise
    after = _observed(decision, driver)
    shown = {r.name: f"{r.status} {r.release}" for r in after.replicas if r.is_alive}
    return Result(
        changed=decision.changed,
        actions=actions + convergence.report.actions,
        state=asdict(after),
        summary=_summary(decision, after, convergence.report.lowest_ready),
        diff=_diff(decision, shown, decision.intent),
    )


def _observed(decision: _Decision, driver: Driver) -> AgentState:
    seen = driver.observe(decision.wanted, decision.specification)
    return replace(decision.before, intent=decision.intent, replicas=_there(seen))


def _summary(decision: _Decision, after: AgentState, lowest_ready: int | None) -> str:
    if lowest_ready is None:
        return summary(after)
    return f"{len(decision.wanted)} of {len(decision.wanted)}, none below {lowest_ready} ready"


def _intent_text(intent: Intent) -> str:
    noun = "replica" if intent.replicas == 1 else "replicas"
    if intent.state == STOPPED:
        return f"that it is stopped on purpose, with {intent.replicas} {noun} to come back to"
    return f"that {intent.replicas} {noun} shall run"


def _diff(decision: _Decision, after: dict[str, str], intent: Intent) -> dict[str, Any]:
    before = decision.before
    running = {r.name: f"{r.status} {r.release}" for r in before.replicas if r.is_alive}
    return {
        "before": {
            "intent": before.intent.state if before.intent else None,
            "replicas": running,
            "environment": decision.environment_before.shown(),
        },
        "after": {
            "intent": intent.state,
            "replicas": after,
            "environment": decision.environment.shown(decision.environment_before),
        },
    }


AGENT = Operation(
    name="agent",
    argument_spec={
        **platform_arguments(),
        **serving_arguments(),
        "state": {
            "type": "str",
            "choices": [STARTED, STOPPED, RESTARTED],
            "default": STARTED,
        },
        "release": {"type": "str"},
        "workers": {"type": "int", "default": 1},
        "environment": {"type": "dict"},
        "environment_secrets": {"type": "dict", "no_log": True},
        "memory_limit_mb": {"type": "int"},
        "ready_path": {"type": "str", "default": "/api/v1/ready"},
        "stop_grace_s": {"type": "float", "default": 30},
        "timeout_s": {"type": "float", "default": 60},
        "stable_s": {"type": "float", "default": 0.5},
    },
    run=run,
)
