# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The `docker` platform: each replica is a container that publishes a port of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
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
from ..protocol import Check, Goal, LogQuery, Replica, Specification, Stop, Usage
from ..readiness import local_address, probe, url_of
from . import ports
from .connection import Gone, Refused
from .container import Container, ended_words, unready_words
from .creation import creation
from .engine import Engine
from .image_store import ImageStore
from .labels import environment_of, labels_of, specification_of
from .options import DockerOptions
from .preflight import checks
from .replicas import OBSERVERS, Replicas
from .usage import usage_of

_KILLED = 128 + 9
_WORKERS_VARIABLE = "WEB_CONCURRENCY"  # what uvicorn reads where --workers is not given


@dataclass
class _Life:
    """Of one container: its id, and how often its policy had restarted it when first seen."""

    id: str
    restarts: int


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
        self._replicas = Replicas(agent, self._engine, options.container.container_port)
        self.release_store = ImageStore(agent, options, self._engine, self._replicas)
        self._lives: dict[str, _Life] = {}
        self._environment: Environment | None = None

    def names(self, count: int) -> list[str]:
        return self._replicas.names(count)

    # --- environment --------------------------------------------------------------------------

    def environment(self) -> Environment:
        """The newest container's: what the engine keeps is the one copy that there is."""
        if self._environment is None:
            ours = self._replicas.ours().values()
            newest = max(ours, key=lambda each: each.created_at or 0.0, default=None)
            if newest is None:
                return Environment()
            self._environment = environment_of(newest.labels, newest.environment)
        return self._environment

    def set_environment(self, environment: Environment) -> None:
        self._environment = environment

    # --- observing ----------------------------------------------------------------------------

    def observe(
        self, wanted: Sequence[str], specification: Specification | None, usage: bool = False
    ) -> list[Replica]:
        owner = self._replicas.owner()
        there = self._replicas.of(wanted)
        names = sorted({*wanted, *there}, key=self._replicas.number)

        def look(name: str) -> Replica | None:
            container = there.get(name)
            if container is None:
                return Replica(name, self._url(name, None), "stopped")
            if not owner.owns(container.labels):
                return self._foreign(name, container) if name in wanted else None
            if container.is_over and name not in wanted:
                return None  # it was stopped on purpose, and stays for its log
            return self._look(name, container, specification, usage)

        if not names:
            return []
        with ThreadPoolExecutor(min(len(names), OBSERVERS)) as threads:
            return [replica for replica in threads.map(look, names) if replica is not None]

    def _look(
        self, name: str, container: Container, specification: Specification | None, usage: bool
    ) -> Replica:
        found = specification_of(container.labels)
        replica = Replica(
            name=name,
            url=self._url(name, container),
            status="stopped",
            release=found.release,
            started_at=container.started_at,
        )
        if not container.is_running:
            return replace(replica, note=ended_words(container))
        answer = probe(
            self._address(container), container.host_port or 0, self._ready_path(found), self._clock
        )
        waits_for = unready_words(container)
        is_ready = answer.is_ready and not waits_for
        if not is_ready and self._restarted(name, container):
            return replace(replica, note=ended_words(container))
        differences = self._differences(name, container, found, specification)
        notes = [*differences, *waits_for, *([] if answer.is_ready else [answer.seen])]
        replica = replace(
            replica,
            status="ready" if is_ready else "running",
            up_to_date=specification is not None and not differences,
            pid=container.pid,
            note="; ".join(notes),
        )
        return replace(replica, usage=self._usage(container)) if usage else replica

    def _restarted(self, name: str, container: Container) -> bool:
        """Whether its restart policy had to start it again since it was first seen here."""
        life = self._lives.get(name)
        if life is None or life.id != container.id:
            life = self._lives[name] = _Life(container.id, container.restart_count)
        return container.restart_count > life.restarts

    def _differences(
        self, name: str, container: Container, found: Specification, wanted: Specification | None
    ) -> list[str]:
        if wanted is None:
            return []
        differences = found.differences(self._completed(wanted))
        if self._serving is not None and container.host_port != self._port(name):
            differences.append(f"port {container.host_port}, not {self._port(name)}")
        return differences

    def _completed(self, specification: Specification) -> Specification:
        """With the options that containers alone have."""
        if specification.options is None:
            return specification
        container = self._options.container.started_with()
        return replace(specification, options={**specification.options, **container})

    def _foreign(self, name: str, container: Container) -> Replica:
        note = (
            f"the container {name} of image {container.image} is not of this agent"
            if container.labels.get("optiinfra.cost_agent.agent") != self._agent.name
            else f"the container {name} belongs to an agent of this name with another state store"
        )
        return Replica(name, self._url(name, container), "foreign", note=note)

    def _usage(self, container: Container) -> Usage | None:
        stats = self._engine.stats(container.id)
        if stats is None:
            return None
        return usage_of(stats, container.started_at or 0.0, container.cpu_limit_cores)

    # --- where they are reached ---------------------------------------------------------------

    def _url(self, name: str, container: Container | None) -> str:
        if container is not None and container.host_port is not None:
            return url_of(self._address(container), container.host_port)
        if self._serving is None:
            return ""
        return url_of(self._reached_at(self._serving.host), self._port(name))

    def _address(self, container: Container) -> str:
        return self._reached_at(container.host_address)

    def _reached_at(self, published_on: str) -> str:
        """A port published on every address is asked at the engine's machine."""
        machine = self._options.connection.machine
        if machine is not None and published_on in ("", "0.0.0.0", "::"):
            return machine
        return local_address(published_on)

    def _ready_path(self, specification: Specification) -> str:
        path = (specification.options or {}).get("ready_path", "/api/v1/ready")
        return str(path)

    def _port(self, name: str) -> int:
        return self._required_serving().port + self._replicas.number(name) - 1

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
        serving = self._required_serving()
        if serving.app != DEFAULT_APP and not self._options.container.command:
            raise OperationError(
                Reason.PRECONDITION,
                f"serve the app {serving.app}",
                "on platform docker the image names its app in its own command",
                "Leave app out, or give docker.command with it",
            )
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

    def _require_ports_of_replaced(self, starts: Sequence[str]) -> None:
        """Raise `precondition` where a replica moves to a port that is taken."""
        there = self._replicas.of(starts)
        moved = [
            name for name in starts if name in there and there[name].host_port != self._port(name)
        ]
        self._require_ports(moved)

    def require_startable(self, replicas: Sequence[str]) -> None:
        self._require_ports(replicas)

    def _require_ports(self, replicas: Sequence[str]) -> None:
        wanted = {self._port(name): name for name in replicas}
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
        specification = self._completed(specification)
        environment = self.environment()
        image = self.release_store.image_of(self._release_called(specification.release))
        body = creation(
            image,
            self._required_serving(),
            self._options.container,
            self._port(replica),
            self._variables(replica, specification, environment),
            labels_of(self._replicas.owner(claims=True), specification, environment),
        )
        self._clear(replica)
        try:
            created = self._engine.create(replica, body)
            self._lives[replica] = _Life(created, 0)
            self._engine.start(created)
        except (Gone, Refused) as refused:
            raise self._not_started(replica, refused) from refused

    def _clear(self, replica: str) -> None:
        """Remove what is left of a replica; never what is not ours, or runs."""
        before = self._replicas.one(replica)
        if before is None:
            return
        if not self._replicas.owner().owns(before.labels) or before.is_running:
            raise OperationError(
                Reason.PRECONDITION,
                f"start {replica}",
                f"a container of that name came meanwhile, from image {before.image}",
                "See who else starts containers here, then run this again",
            )
        self._engine.remove(before.id)

    def _not_started(self, replica: str, refused: Gone | Refused) -> OperationError:
        port = self._port(replica)
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
        with ThreadPoolExecutor(len(replicas)) as threads:
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
        free = [self._port(name) for name in names if name not in alive]
        return checks(self._engine, self._options, self._obstacles(free), wanted, disk_mb, source)

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
