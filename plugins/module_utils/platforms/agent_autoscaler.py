# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The `agent_autoscaler` module: the policy that the count of replicas follows."""

from __future__ import annotations

import contextlib
from dataclasses import asdict
from typing import Any

from ..core.context import Context
from ..core.errors import OperationError, invalid_option
from ..core.operation import Operation, Params
from ..core.result import Result, Table
from .agent_options import Agent, read_agent
from .arguments import platform_arguments
from .autoscaling.autoscaler import Autoscaler, Status
from .autoscaling.policy import Policy, policy_arguments, read_policy
from .autoscaling.stored_autoscaler import StoredAutoscaler
from .drivers import open_driver

PRESENT = "present"
ABSENT = "absent"
# Shorter ones measure noise; a longer one would outlast the timer that runs this.
_SHORTEST_WINDOW_S = 1
_LONGEST_WINDOW_S = 60
# Reasons of conditions that say only that all is well.
_AS_USUAL = (
    "ValidMetricFound",
    "ReadyForNewScale",
    "SucceededGetScale",
    "SucceededRescale",
    "DesiredWithinRange",
)


def run(params: Params, context: Context) -> Result:
    """Put the policy in force, and say what it asks for now; the second run changes nothing."""
    agent = read_agent(params)
    policy = read_policy(params) if params["state"] == PRESENT else None
    window_s = _read_window(params["cpu_window_s"])
    autoscaler = _autoscaler(agent, context)
    with contextlib.nullcontext() if context.check_mode else autoscaler.exclusive():
        before = autoscaler.policy()
        after = policy.as_dict() if policy else None
        changed = before != after
        if changed:
            autoscaler.require_changeable()
            if policy is not None:
                autoscaler.require_scalable()
        actions = []
        if changed and context.check_mode:
            actions = ["Would remove the policy" if policy is None else "Would set the policy"]
        elif changed:
            actions = [autoscaler.remove() if policy is None else autoscaler.set_policy(policy)]
        try:
            status = _status(autoscaler, policy, window_s, context)
        except OperationError as error:
            error.details.update(changed=changed, actions=actions)
            raise
    return Result(
        changed=changed,
        actions=actions,
        state={"platform": agent.platform, "name": agent.name, "policy": after, **_shown(status)},
        summary=_summary(policy, status),
        tables=_tables(status),
        diff={"before": {"policy": before}, "after": {"policy": after}},
    )


def _read_window(window_s: float) -> float:
    if window_s != 0 and not _SHORTEST_WINDOW_S <= window_s <= _LONGEST_WINDOW_S:
        raise invalid_option(
            "cpu_window_s",
            f"{window_s:g} is out of range",
            f"Give {_SHORTEST_WINDOW_S} to {_LONGEST_WINDOW_S}, or 0 to measure nothing",
        )
    return window_s


def _autoscaler(agent: Agent, context: Context) -> Autoscaler:
    if agent.platform == "kubernetes":
        from .kubernetes.autoscaler import KubernetesAutoscaler
        from .kubernetes.client import KubernetesClient
        from .kubernetes.options import ClusterOptions

        options = ClusterOptions.of(agent.kubernetes, agent.name)
        client = KubernetesClient(options.access, context.clock)
        return KubernetesAutoscaler(agent.name, client, options, context.clock)
    return StoredAutoscaler(agent, open_driver(agent, None, context.clock), context.clock)


def _status(
    autoscaler: Autoscaler, policy: Policy | None, window_s: float, context: Context
) -> Status | None:
    if policy is None or window_s == 0:
        return None
    return autoscaler.status(policy, window_s, remember=not context.check_mode)


def _shown(status: Status | None) -> dict[str, Any]:
    if status is None:
        return {}
    shown = asdict(status)
    shown["conditions"] = [asdict(condition) for condition in status.conditions]
    shown["replicas"] = dict(status.replicas)
    return shown


def _summary(policy: Policy | None, status: Status | None) -> str:
    if policy is None:
        return "no autoscaler"
    bounds = f"{policy.min} to {policy.max} replicas at {policy.cpu_percent} % CPU"
    if status is None or status.current_replicas is None:
        return bounds
    count, desired = status.current_replicas, status.desired_replicas
    steps = f"{count}" if desired in (None, count) else f"{count} -> {desired}"
    seen = "not measured" if status.cpu_percent is None else f"{status.cpu_percent} %"
    told = [c.message for c in status.conditions if c.reason not in _AS_USUAL]
    return "; ".join([f"{steps} of {bounds}, CPU {seen}", *told])


def _tables(status: Status | None) -> list[Table]:
    if status is None or not status.replicas:
        return []
    rows = [[name, "-" if p is None else f"{p} %"] for name, p in status.replicas.items()]
    return [Table(["replica", "CPU"], rows)]


AGENT_AUTOSCALER = Operation(
    name="agent_autoscaler",
    argument_spec={
        **platform_arguments(),
        **policy_arguments(),
        "state": {"type": "str", "choices": [PRESENT, ABSENT], "default": PRESENT},
        "cpu_window_s": {"type": "float", "default": 10},
    },
    run=run,
)
