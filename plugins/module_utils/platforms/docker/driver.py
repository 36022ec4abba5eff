# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The `docker` platform: each replica is a container that publishes a port of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from ...core.clock import Clock
from ...core.deadline import Deadline
from ...core.errors import OperationError, Reason
from ...core.redact import redact
from ..agent_options import Agent, Serving
from ..arguments import DEFAULT_APP
from ..converge import ReplicaPlan
from ..environment import RELEASE_VARIABLE, REPLICA_VARIABLE, Environment
from ..images.releases import ImageRelease
from ..protocol import Check, Goal, LogQuery, Replica, Specification, Stop
from . import ports
from .connection import Gone, Refused
from .creation import creation
from .engine import Engine
from .image_store import ImageStore
from .labels import labels_of
from .migration import DockerMigrator
from .observer import Observer
from .options import DockerOptions
from .preflight import checks
from .replicas import Replicas

_KILLED = 128 + 9
_WORKERS_VARIABLE = "WEB_CONCURRENCY"  # what uvicorn reads where --workers is not given


class DockerDriver:
    """Replicas of one agent on one engine; without `serving` it can observe and stop only."""

    def __init__(
        self, agent: Agent, serving: Serving | None, options: DockerOptions, clock: Clock
    ) -> None:
        self._agent = agent
        self._serving = serving
        self._options = options
        self._clock = clock
        self._engine = Engine(options.connection, clock)
        self._replicas = self._make_replicas()
        self.release_store = ImageStore(agent, options, self._engine, self._replicas)
        self._observer = Observer(agent, serving, options, self._engine, self._replicas, clock)

    def _make_replicas(self) -> Replicas:
        port = self._options.container.container_port
        return Replicas(self._agent, self._engine, port)

    def names(self, count: int) -> list[str]:
        return self._replicas.names(count)

    def reading_once(self) -> AbstractContextManager[None]:
        return nullcontext()

    # --- environment --------------------------------------------------------------------------

    def environment(self) -> Environment:
        return self.release_store.environments.wanted()

    def set_environment(self, environment: Environment) -> None:
        self.release_store.environments.want(environment)

    def observe(
        self, wanted: Sequence[str], specification: Specification | None, usage: bool = False
    ) -> list[Replica]:
        return self._observer.observe(wanted, specification, usage)

    # --- acting -------------------------------------------------------------------------------

    def plan(self, goal: Goal) -> ReplicaPlan:
        if goal.specification is not None:
            self._require_possible(goal.intent.names)
        plan = ReplicaPlan(self, goal)
        starts = [name for wave in plan.waves for name in wave.start]
        if starts:
            self.release_store.require_startable()
            self._require_ports_of_replaced(starts)
        return plan

    def _require_possible(self, names: Sequence[str]) -> None:
        """Raise `precondition` for options that mean nothing on this platform or engine."""
        self._require_own_app()
        network = self._options.container.network
        if not network.startswith("container:") and not self._engine.has_network(network):
            raise OperationError(
                Reason.PRECONDITION,
                f"start {self._agent.name} in network {network}",
                "the engine has no such network",
                "Create it with docker network create, or give another with docker.network",
            )
        foreign = [r for r in self.observe(names, None) if r.status == "foreign"]
        if foreign:
            raise OperationError(
                Reason.PRECONDITION,
                f"start {', '.join(r.name for r in foreign)}",
                "; ".join(r.note for r in foreign),
                "Remove or rename them, give the agent another name, "
                "or name the state store that they were started with",
            )

    def _require_own_app(self) -> None:
        """Raise `precondition` for an app that the image does not name itself."""
        serving = self._required_serving()
        if serving.app != DEFAULT_APP and not self._options.container.command:
            raise OperationError(
                Reason.PRECONDITION,
                f"serve the app {serving.app}",
                "on platform docker the image names its app in its own command",
                "Leave app out, or give docker.command with it",
            )

    def _require_ports_of_replaced(self, starts: Sequence[str]) -> None:
        """Raise `precondition` where a replica moves to a port that is taken."""
        there = self._replicas.of(starts)
        moved = [
            name
            for name in starts
            if name in there and there[name].host_port != self._observer.port(name)
        ]
        self._require_ports(moved)

    def require_startable(self, replicas: Sequence[str]) -> None:
        self._require_ports(replicas)

    def _require_ports(self, replicas: Sequence[str]) -> None:
        wanted = {self._observer.port(name): name for name in replicas}
        taken = self._obstacles(list(wanted))
        if taken:
            raise OperationError(
                Reason.PRECONDITION,
                f"start {', '.join(wanted[port] for port in taken)}",
                "; ".join(taken.values()),
                "End or move what holds them, or give another port or host",
            )

    def _obstacles(self, wanted: Sequence[int]) -> dict[int, str]:
        if not wanted:
            return {}
        is_local = self._options.connection.machine is None
        listed = self._engine.containers()
        return ports.obstacles(self._required_serving().host, wanted, listed, is_local)

    def start(self, replica: str, specification: Specification) -> None:
        specification = self._observer.completed(specification)
        environment = self.environment()
        image = self.release_store.image_of(self._release_called(specification.release))
        body = creation(
            image,
            self._required_serving(),
            self._options.container,
            self._observer.port(replica),
            self._variables(replica, specification, environment),
            labels_of(self._replicas.owner(claims=True), specification, environment),
        )
        self._clear(replica)
        try:
            created = self._engine.create(replica, body)
            self._observer.created(replica, created)
            self._engine.start(created)
        except (Gone, Refused) as refused:
            raise self._not_started(replica, refused) from refused

    def _clear(self, replica: str) -> None:
        """Remove what is left of a replica; never what is not ours.

        One that ends again and again may run at this moment, and is as lost as at the others.
        """
        before = self._replicas.one(replica)
        if before is None:
            return
        if not self._replicas.owner().owns(before.labels):
            raise OperationError(
                Reason.PRECONDITION,
                f"start {replica}",
                f"a container of that name came meanwhile, from image {before.image}",
                "See who else starts containers here, then run this again",
            )
        self._engine.remove(before.id)

    def _not_started(self, replica: str, refused: Gone | Refused) -> OperationError:
        port = self._observer.port(replica)
        if "port is already allocated" in refused.said or "address already in use" in refused.said:
            seen = self._obstacles([port]).get(port, f"port {port} is taken")
            return OperationError(
                Reason.PRECONDITION, f"start {replica}", seen, "End or move what holds it"
            )
        return OperationError(
            Reason.FAILED_STATE,
            f"start {replica}",
            f"the engine refuses: {refused.said}",
            "Correct the image or the option that it names, and start again",
        )

    def _variables(
        self, name: str, specification: Specification, environment: Environment
    ) -> dict[str, str]:
        workers = self._required_serving().workers
        return {
            **({_WORKERS_VARIABLE: str(workers)} if workers > 1 else {}),
            **environment.variables(),
            RELEASE_VARIABLE: specification.release,
            REPLICA_VARIABLE: name,
        }

    def stop(self, replicas: Sequence[str], grace_s: float, deadline: Deadline) -> list[Stop]:
        if not replicas:
            return []
        most = len(replicas)
        if self._options.connection.host.startswith("ssh://"):
            most = min(most, self._options.connection.most_at_once)
        with ThreadPoolExecutor(most) as threads:
            stops = list(threads.map(lambda name: self._stop(name, grace_s, deadline), replicas))
        late = [name for name, stop in zip(replicas, stops) if stop is None]
        if late:
            raise OperationError(
                Reason.TIMEOUT,
                f"stop {', '.join(late)} within {deadline.seconds:g} s",
                f"it still runs, and its grace of {grace_s:g} s goes on; the engine ends it then",
                "Run this again, or give a longer timeout_s",
            )
        return [stop for stop in stops if stop is not None]

    def _stop(self, name: str, grace_s: float, deadline: Deadline) -> Stop | None:
        """None when the deadline passed first. The container stays, for its log."""
        container = self._replicas.one(name)
        if container is None or container.is_over:
            return Stop(name, was_running=False, was_killed=False, seconds=0.0)
        try:
            if container.status == "paused":
                self._engine.unpause(container.id)
            begun = self._clock.monotonic()
            has_ended = self._engine.stop(container.id, math.ceil(grace_s), deadline.remaining)
        except (Gone, Refused) as refused:
            raise OperationError(
                Reason.FAILED_STATE,
                f"stop {name}",
                f"the engine refuses: {refused.said}",
                "Look at the container with docker inspect",
            ) from refused
        if not has_ended:
            return None
        seconds = self._clock.monotonic() - begun
        after = self._replicas.one(name)
        was_killed = after is not None and after.exit_code == _KILLED and seconds >= grace_s
        return Stop(name, container.is_running, was_killed, seconds)

    # --- logs and preflight -------------------------------------------------------------------

    def log(self, replica: str, query: LogQuery) -> list[str]:
        found = self._engine.log(replica, query.lines, query.since)
        redacted: list[str] = redact(found, self.environment().secret_values())
        return redacted

    def log_since_start(self, replica: str, lines: int) -> list[str]:
        return self.log(replica, LogQuery(lines))

    def logged(self) -> list[str]:
        return list(self._replicas.ours())

    def preflight(self, count: int, disk_mb: int, source: Path | None) -> list[Check]:
        serving = self._required_serving()
        names = self.names(count)
        alive = {r.name for r in self.observe(names, None) if r.is_alive}
        wanted = range(serving.port, serving.port + count)
        free = [self._observer.port(name) for name in names if name not in alive]
        return checks(self._engine, self._options, self._obstacles(free), wanted, disk_mb, source)

    def migrator(self) -> DockerMigrator:
        """What runs a command of a release in a container of its own."""
        return DockerMigrator(
            self._agent, self._options, self._engine, self._replicas, self.release_store
        )

    # --- details ------------------------------------------------------------------------------

    def _required_serving(self) -> Serving:
        if self._serving is None:
            raise ValueError("this driver was opened to observe and stop only")
        return self._serving

    def _release_called(self, release_id: str) -> ImageRelease:
        current = self.release_store.current()
        if current is None or current.id != release_id:
            raise OperationError(
                Reason.PRECONDITION,
                f"start release {release_id}",
                f"the current release is {current.id if current else 'none'}",
                "Deploy it first, with agent_release",
            )
        return current
