# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an environment variable of the agent is ours to set, or kept somewhere else."""

from __future__ import annotations

from collections.abc import Collection

from ..core.clock import Clock
from .agent_options import Agent


def require_ours(agent: Agent, names: Collection[str], clock: Clock) -> None:
    """Raise `precondition`, naming the place to change, where another keeps these variables.

    On Kubernetes that is whoever owns the workload, an `env` entry of it, or a ConfigMap or Secret
    of the user. Elsewhere the environment is this collection's alone.
    """
    if agent.platform == "kubernetes":
        from .kubernetes.driver import cluster_of
        from .kubernetes.env_source import require_no_other_source

        require_no_other_source(cluster_of(agent, clock), agent.name, names)
