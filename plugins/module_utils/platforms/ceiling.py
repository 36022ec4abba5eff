# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many replicas there may be: what an autoscaler or the operator allows, not what runs now."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from ..core.clock import Clock
from ..core.errors import OperationError, Reason
from .agent_options import Agent
from .autoscaling.records import read_policy_record
from .environment import Environment
from .intent import DEFAULT_REPLICAS, read_intent


@dataclass(frozen=True)
class Ceiling:
    """The most replicas, and in words who says so."""

    replicas: int
    source: str


def replica_ceiling(agent: Agent, clock: Clock, asked: int | None = None) -> Ceiling:
    """The ceiling; `asked` is a count that is about to be asked for.

    An autoscaler's maximum, be it a HorizontalPodAutoscaler's or a stored policy's; without one the
    count itself, else the one asked for last, else the guide's.
    """
    if agent.platform == "kubernetes":
        most = _most_of_cluster(agent, clock)
        source = "its HorizontalPodAutoscaler's maximum"
    else:
        policy = read_policy_record(agent.store, agent.name)
        most = policy.max if policy else None
        source = "its autoscaler's max"
    if most is not None and most >= (asked or 0):
        return Ceiling(most, source)
    if asked is not None:
        return Ceiling(asked, "the count asked for")
    intent = read_intent(agent.store, agent.name)
    if intent is not None:
        return Ceiling(intent.replicas, "the count asked for last")
    return Ceiling(DEFAULT_REPLICAS, "the guide's count")


def budget_basis(environment: Environment, ceiling: Ceiling) -> str:
    """A fingerprint of what a connection budget goes by, and another run of ours may change."""
    text = f"{ceiling.replicas} {environment.digest()}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def require_basis(
    basis: str | None, agent: Agent, environment: Environment, wanted: str, clock: Clock
) -> None:
    """Raise `precondition` where another run made what was weighed into something else."""
    if basis is None or basis == budget_basis(environment, replica_ceiling(agent, clock)):
        return
    raise OperationError(
        Reason.PRECONDITION,
        wanted,
        "another run changed its environment or the most replicas that it may have, after its "
        "connections were weighed",
        "Run this again",
        changed=False,
    )


def _most_of_cluster(agent: Agent, clock: Clock) -> int | None:
    from .kubernetes.bounds import find_autoscaler
    from .kubernetes.driver import cluster_of

    cluster = cluster_of(agent, clock)
    workload = cluster.workloads.find()
    found = find_autoscaler(cluster.client, workload) if workload else None
    return found.max_replicas if found else None
