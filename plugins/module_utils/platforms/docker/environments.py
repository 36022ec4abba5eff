# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The environment of an agent's containers: the one that they are to have, and the proved one.

The engine has the only copies of the values, in containers; the state store has digests. A
container that is never started keeps the environment that the last good release proved good with,
and with it the image, which a prune of unused images then leaves.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...core.errors import OperationError, Reason
from ..agent_options import Agent
from ..environment import Environment
from ..images.releases import ImageRelease, ImageReleases
from ..protocol import Specification
from .connection import Gone, Refused
from .container import Container
from .creation import env_entries
from .engine import Engine
from .labels import (
    ENVIRONMENT_DIGEST,
    Ownership,
    environment_of,
    labels_of,
    specification_of,
)
from .replicas import Replicas


class Environments:
    """One agent's."""

    def __init__(
        self, agent: Agent, engine: Engine, replicas: Replicas, records: ImageReleases
    ) -> None:
        self._keeper = f"{agent.name}-good"
        self._engine = engine
        self._replicas = replicas
        self._records = records
        self._wanted: Environment | None = None

    def wanted(self) -> Environment:
        """What is on record where a container has it, else the newest container's."""
        if self._wanted is None:
            containers = list(self._replicas.ours().values())
            newest = max(containers, key=lambda each: each.created_at or 0.0, default=None)
            chosen = self._with_setup(self._records.setup(), containers) or newest
            if chosen is None:
                return Environment()
            self._wanted = environment_of(chosen.labels, chosen.environment)
        return self._wanted

    def want(self, environment: Environment) -> None:
        """Put it on record; containers get it when they are made."""
        self._wanted = environment
        self._records.want(environment.digest())

    def has(self, setup: str) -> bool:
        """Whether a container has the environment of this digest."""
        return self._with_setup(setup, list(self._replicas.ours().values())) is not None

    def keep(self, release: ImageRelease, image: str) -> str:
        """Keep what is wanted now for the release, with its image; the environment's digest.

        Raises `precondition` where another's container has the name.
        """
        environment = self.wanted()
        setup = environment.digest()
        specification = Specification(release.id, release.digest, setup, {})
        there = self._kept()
        if there is not None:
            if specification_of(there.labels) == specification:
                return setup
            self._engine.remove(there.id)
        owner = self._replicas.owner(claims=True)
        body = {
            "Image": image,
            "Env": env_entries(environment.variables()),
            "Labels": labels_of(owner, specification, environment),
            "HostConfig": {"NetworkMode": "none"},
        }
        try:
            self._engine.create(self._keeper, body)
        except (Gone, Refused) as refused:
            raise OperationError(
                Reason.PRECONDITION,
                f"keep what {release.id} proved good with in the container {self._keeper}",
                f"the engine refuses: {refused.said}",
                "Remove or rename the container that has this name, then run this again",
            ) from refused
        return setup

    def _with_setup(self, setup: str, containers: Sequence[Container]) -> Container | None:
        if not setup:
            return None
        for each in containers:
            if each.labels.get(ENVIRONMENT_DIGEST) == setup:
                return each
        kept = self._kept()
        return kept if kept and kept.labels.get(ENVIRONMENT_DIGEST) == setup else None

    def _kept(self) -> Container | None:
        """The container that keeps; also of a compose project it is none of the service's."""
        owner = self._replicas.owner()
        found = self._engine.container(self._keeper)
        is_ours = found is not None and Ownership(owner.agent, owner.claim).owns(found.labels)
        return found if is_ours else None
