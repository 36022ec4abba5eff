# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The docker platform with a compose project: replicas are the containers of one of its services."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...core.clock import Clock
from ...core.context import Context
from ...core.deadline import Deadline
from ...core.errors import OperationError, Reason
from ..agent_options import Agent, Serving
from ..protocol import Check, Goal, Specification
from .compose_plan import ComposePlan
from .compose_program import ComposeProgram, Overlay
from .compose_replicas import ComposeReplicas
from .driver import DockerDriver
from .labels import labels_of
from .options import Compose, DockerOptions


class ComposeDriver(DockerDriver):
    """Observes, stops and removes by the engine; what is new is started by `docker compose`.

    The project's files say everything but the image, the limits and the environment that are
    given to this collection; they are never written.
    """

    def __init__(
        self, agent: Agent, serving: Serving | None, options: DockerOptions, clock: Clock
    ) -> None:
        if options.compose is None:
            raise ValueError("no compose project is named")
        super().__init__(agent, serving, options, clock)
        self._program = ComposeProgram(options.compose, options.connection)

    def _make_replicas(self) -> ComposeReplicas:
        return ComposeReplicas(
            self._agent,
            self._engine,
            self._options.container.container_port,
            self._compose,
        )

    @property
    def _compose(self) -> Compose:
        if self._options.compose is None:
            raise ValueError("no compose project is named")
        return self._options.compose

    def plan(self, goal: Goal) -> ComposePlan:  # type: ignore[override]
        if goal.specification is not None:
            self._program.require()
            self._require_own_app()
        plan = ComposePlan(self, goal)
        if plan.changes and goal.specification is not None:
            self.release_store.require_startable()
        return plan

    def start(self, replica: str, specification: Specification) -> None:
        raise ValueError("compose names what it starts")

    def clear_away(self) -> list[str]:
        """Remove what has ended: `docker compose up` would start it again as it was."""
        over = [each for each in self._replicas.ours().values() if not each.is_running]
        for container in over:
            self._engine.remove(container.id)
        return [container.name for container in over]

    def bring_up(
        self, count: int, specification: Specification, deadline: Deadline, context: Context
    ) -> list[str]:
        """Start what is missing of a count, and return the names of what is new."""
        before = {each.id for each in self._replicas.ours().values()}
        environment = self.environment()
        overlay = Overlay(
            image=self.release_store.image_of(self._release_called(specification.release)),
            environment=self._variables(self._compose.service, specification, environment),
            labels=labels_of(self._replicas.owner(claims=True), specification, environment),
        )
        self._program.up(count, overlay, self._required_serving(), deadline, context)
        after = self._replicas.ours()
        new = [name for name, each in after.items() if each.id not in before]
        if not new:
            raise OperationError(
                Reason.FAILED_STATE,
                f"bring the service {self._compose.service} to {count}",
                f"docker compose started nothing; {len(after)} containers are there",
                "Run docker compose up by hand, and see what it says",
            )
        for name in new:
            self._observer.created(name, after[name].id)
        return new

    def preflight(self, count: int, disk_mb: int, source: Path | None) -> list[Check]:
        """Ports and networks are the compose file's, which the program checks itself."""
        found = [
            each for each in super().preflight(count, disk_mb, source) if each.name == "engine"
        ]
        version = self._program.require()
        found.append(Check("ports", True, f"docker compose {version}"))
        if source is not None:
            found.append(Check("source", False, "platform docker runs images, not a source folder"))
        return found

    def _obstacles(self, wanted: Sequence[int]) -> dict[int, str]:
        return {}
