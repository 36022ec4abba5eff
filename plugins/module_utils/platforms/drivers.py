# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The driver of a platform, and its releases.

The process driver is imported here at the top, and so once by the controller, not again in the
worker of each task; the others where they are asked for, since a target has none of their needs.
"""

from __future__ import annotations

from ..core.clock import Clock
from .agent_options import Agent, Serving
from .host.release_store import FolderReleaseStore
from .process.driver import ProcessDriver
from .protocol import Driver
from .releases import ReleaseStore


def open_driver(agent: Agent, serving: Serving | None, clock: Clock) -> Driver:
    """The driver for an agent; without `serving` it can observe and stop only."""
    if agent.platform == "process":
        return ProcessDriver(agent, serving, clock)
    if agent.platform == "kubernetes":
        from .kubernetes.driver import KubernetesDriver

        return KubernetesDriver(agent, serving, clock)
    raise ValueError(f"no driver for platform {agent.platform}")


def open_release_store(agent: Agent) -> ReleaseStore:
    """Where the agent's releases are kept."""
    if agent.platform == "process":
        return FolderReleaseStore(agent)
    if agent.platform == "kubernetes":
        from .kubernetes.driver import open_kubernetes_releases

        return open_kubernetes_releases(agent)
    raise ValueError(f"no releases on platform {agent.platform}")
