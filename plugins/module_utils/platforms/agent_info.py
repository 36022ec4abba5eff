# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The `agent_info` module: what there is of an agent, and what it uses."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any
from urllib.parse import urlsplit

from ..core.context import Context
from ..core.errors import invalid_option
from ..core.operation import Operation, Params
from ..core.result import Result
from .agent_options import Agent, read_agent
from .agent_state import replica_table, summary
from .arguments import platform_arguments
from .drivers import open_driver
from .intent import read_intent
from .protocol import AgentState, Driver, Replica, Specification, Usage

_LONGEST_CPU_WINDOW_S = 60


def run(params: Params, context: Context) -> Result:
    """Observe; an agent that is stopped or not installed is a finding, not a failure."""
    agent = read_agent(params)
    window_s = params["cpu_window_s"]
    if not 0 <= window_s <= _LONGEST_CPU_WINDOW_S:
        raise invalid_option(
            "cpu_window_s", f"{window_s:g} is out of range", f"Give 0 to {_LONGEST_CPU_WINDOW_S}"
        )
    driver = open_driver(agent, None, context.clock)
    state = observe_agent(agent, driver)
    if window_s and any(map(_sums_up_its_cpu, state.replicas)):
        context.clock.sleep(window_s)
        state = with_cpu_window(state, observe_agent(agent, driver))
    is_worth_a_look = any(replica.status != "ready" or replica.note for replica in state.replicas)
    tables = [replica_table(state.replicas)] if is_worth_a_look else []
    targets = [_target(replica, params["address"]) for replica in state.replicas]
    return Result(
        state={**asdict(state), "targets": targets}, summary=summary(state), tables=tables
    )


def with_cpu_window(before: AgentState, after: AgentState) -> AgentState:
    """The later observation, with each replica's average CPU since the earlier one."""
    earlier = {replica.pid: replica.usage for replica in before.replicas}
    replicas = []
    for replica in after.replicas:
        first, last = earlier.get(replica.pid), replica.usage
        if first is not None and last is not None:
            replica = replace(replica, usage=_watched(first, last))
        replicas.append(replica)
    return replace(after, replicas=replicas)


def _sums_up_its_cpu(replica: Replica) -> bool:
    """Whether a later look tells more; metrics.k8s.io gives the average of a window of its own."""
    return replica.is_alive and replica.usage is not None and replica.usage.cpu_seconds is not None


def _watched(first: Usage, last: Usage) -> Usage:
    """The later usage, with the average since the first where both sum up their CPU time."""
    window_s = last.uptime_s - first.uptime_s
    if first.cpu_seconds is None or last.cpu_seconds is None or window_s <= 0:
        return last
    cores = last.cpu_limit_cores or 1
    percent = 100 * (last.cpu_seconds - first.cpu_seconds) / window_s / cores
    return replace(last, cpu_percent=max(percent, 0.0), cpu_window_s=window_s)


def _target(replica: Replica, address: str | None) -> dict[str, Any]:
    """The replica as a target of health_info: where to ask it, and what its driver knows."""
    target: dict[str, Any] = {"name": replica.name, "url": replica.url}
    if address is not None:
        host = f"[{address}]" if ":" in address else address
        target["url"] = f"http://{host}:{urlsplit(replica.url).port}"
    if not replica.is_alive:
        target["not_running"] = replica.note or "there is no trace of it"
    if replica.usage is not None:
        target["usage"] = asdict(replica.usage)
    return target


def observe_agent(agent: Agent, driver: Driver) -> AgentState:
    """The whole agent, with usage; options are not compared, since none were asked for."""
    with driver.reading_once():
        return _observed(agent, driver)


def _observed(agent: Agent, driver: Driver) -> AgentState:
    release = driver.release_store.current()
    specification = None
    if release is not None:
        environment = driver.environment().digest()
        specification = Specification(release.id, release.digest, environment, None)
    intent = read_intent(agent.store, agent.name)
    return AgentState(
        platform=agent.platform,
        name=agent.name,
        release=release.id if release else None,
        intent=intent,
        replicas=driver.observe(intent.names if intent else [], specification, usage=True),
        releases=[each.shown() for each in driver.release_store.releases()],
    )


AGENT_INFO = Operation(
    name="agent_info",
    argument_spec={
        **platform_arguments(),
        "address": {"type": "str"},
        "cpu_window_s": {"type": "float", "default": 0},
    },
    run=run,
)
