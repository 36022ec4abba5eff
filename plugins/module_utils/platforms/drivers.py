# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The driver of a platform, and its releases.

The process driver is imported here at the top, and so once by the controller, not again in the
worker of each task; the others where they are asked for, since a target has none of their needs.
"""

from __future__ import annotations

from ..core.clock import Clock, SystemClock
from ..core.errors import OperationError, Reason
from .agent_options import Agent, Serving
from .host.migration import HostMigrator
from .host.release_store import FolderReleaseStore
from .migration import Migrator
from .process.driver import ProcessDriver
from .protocol import Driver
from .releases import ReleaseStore


def open_driver(agent: Agent, serving: Serving | None, clock: Clock) -> Driver:
    """The driver for an agent; without `serving` it can observe and stop only."""
    if agent.platform == "process":
        return ProcessDriver(agent, serving, clock)
    if agent.platform == "systemd":
        from .systemd.driver import SystemdDriver

        return SystemdDriver(agent, serving, clock)
    if agent.platform == "docker":
        from .docker.open import docker_driver

        return docker_driver(agent, serving, clock)
    if agent.platform == "kubernetes":
        from .kubernetes.driver import KubernetesDriver

        return KubernetesDriver(agent, serving, clock)
    raise ValueError(f"no driver for platform {agent.platform}")


def open_release_store(agent: Agent) -> ReleaseStore:
    """Where the agent's releases are kept."""
    if agent.platform == "systemd":
        from .systemd.systemctl import require_systemd

        require_systemd(f"keep releases of {agent.name} on platform systemd")
    if agent.platform in ("process", "systemd"):
        return FolderReleaseStore(agent)
    if agent.platform == "docker":
        from .docker.open import docker_driver

        return docker_driver(agent, None, SystemClock()).release_store
    if agent.platform == "kubernetes":
        from .kubernetes.driver import open_kubernetes_releases

        return open_kubernetes_releases(agent)
    raise ValueError(f"no releases on platform {agent.platform}")


def open_migrator(agent: Agent) -> Migrator:
    """What runs a command of a release; raises `precondition` where the platform cannot."""
    if agent.platform in ("process", "systemd"):
        return HostMigrator(agent)
    if agent.platform == "docker":
        from .docker.open import docker_migrator

        return docker_migrator(agent, SystemClock())
    if agent.platform == "kubernetes":
        from .kubernetes.driver import open_kubernetes_migrator

        return open_kubernetes_migrator(agent)
    raise OperationError(
        Reason.PRECONDITION,
        f"run a migration on platform {agent.platform}",
        "this platform runs no command of a release",
        "Migrate before the deploy, and leave migration out",
    )
