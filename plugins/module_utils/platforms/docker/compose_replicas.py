# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The containers of a compose service, whoever started them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ..agent_options import Agent
from .engine import Engine
from .labels import Ownership
from .options import Compose
from .replicas import Replicas

_PROJECT = "com.docker.compose.project"
_SERVICE = "com.docker.compose.service"
_ONE_OFF = "com.docker.compose.oneoff"  # of docker compose run
_NUMBER = re.compile(r"(\d+)\Z")


@dataclass(frozen=True)
class ServiceOwnership(Ownership):
    """A service's containers are the agent's, also those that an operator started by hand."""

    project: str
    service: str

    def owns(self, labels: Mapping[str, str]) -> bool:
        return (labels.get(_PROJECT), labels.get(_SERVICE)) == (self.project, self.service)


class ComposeReplicas(Replicas):
    """Their names are compose's own: `shop-cost-agent-1`."""

    def __init__(self, agent: Agent, engine: Engine, container_port: int, compose: Compose) -> None:
        super().__init__(agent, engine, container_port)
        self._compose = compose

    def names(self, count: int) -> list[str]:
        """None: compose names them."""
        return []

    def number(self, name: str) -> int:
        match = _NUMBER.search(name)
        return int(match.group(1)) if match else 0

    def owner(self, claims: bool = False) -> ServiceOwnership:
        owner = super().owner(claims)
        compose = self._compose
        return ServiceOwnership(owner.agent, owner.claim, compose.project, compose.service)

    def _owned_names(self) -> list[str]:
        listed = self._engine.containers(
            [
                f"{_PROJECT}={self._compose.project}",
                f"{_SERVICE}={self._compose.service}",
                f"{_ONE_OFF}=False",
            ]
        )
        return [each["Names"][0].lstrip("/") for each in listed]
