# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What containers look like as replicas: which run, which are ready, which are as wanted."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from ...core.clock import Clock
from ..agent_options import Agent, Serving
from ..protocol import Replica, Specification, Usage
from ..readiness import local_address, probe, url_of
from .container import Container, ended_words, restarted_words, unready_words
from .engine import Engine
from .labels import AGENT, RELEASE, specification_of
from .options import DockerOptions
from .replicas import Replicas
from .usage import usage_of


@dataclass
class _Life:
    """Of one container: its id, and how often its policy had restarted it when first seen."""

    id: str
    restarts: int


class Observer:
    """Looks at the replicas of one agent; without `serving` it compares no ports."""

    def __init__(
        self,
        agent: Agent,
        serving: Serving | None,
        options: DockerOptions,
        engine: Engine,
        replicas: Replicas,
        clock: Clock,
    ) -> None:
        self._agent = agent
        self._serving = serving
        self._options = options
        self._engine = engine
        self._replicas = replicas
        self._clock = clock
        # Of a compose project, the files say which ports are published.
        self._compares_ports = serving is not None and options.compose is None
        self._lives: dict[str, _Life] = {}

    def created(self, name: str, container_id: str) -> None:
        """Take note of a container that was made just now: it was never restarted yet."""
        self._lives[name] = _Life(container_id, 0)

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
        most = self._options.connection.most_at_once
        with ThreadPoolExecutor(min(len(names), most)) as threads:
            return [replica for replica in threads.map(look, names) if replica is not None]

    def _look(
        self, name: str, container: Container, specification: Specification | None, usage: bool
    ) -> Replica:
        found = specification_of(container.labels)
        replica = Replica(
            name=name,
            url=self._url(name, container),
            status="stopped",
            release=found.release or container.image,
            started_at=container.started_at,
        )
        if not container.is_running:
            return replace(replica, note=ended_words(container))
        address, port = self._reached_at(container)
        answer = probe(address, port, self._ready_path(found), self._clock)
        waits_for = unready_words(container)
        is_ready = answer.is_ready and not waits_for
        if not is_ready and self._restarted(name, container):
            note = restarted_words(container, self._engine.last_end(container))
            return replace(replica, note=note)
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
        if RELEASE not in container.labels:
            return ["it was started without this collection"]
        differences = found.differences(self.completed(wanted))
        if self._compares_ports and container.host_port != self.port(name):
            differences.append(f"port {container.host_port}, not {self.port(name)}")
        return differences

    def completed(self, specification: Specification) -> Specification:
        """With the options that containers alone have."""
        if specification.options is None or self._options.compose is not None:
            return specification
        container = self._options.container.started_with()
        return replace(specification, options={**specification.options, **container})

    def _foreign(self, name: str, container: Container) -> Replica:
        note = (
            f"the container {name} of image {container.image} is not of this agent"
            if container.labels.get(AGENT) != self._agent.name
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
        if container is not None:
            address, port = self._reached_at(container)
            return url_of(address, port) if port else ""
        if self._serving is None:
            return ""
        return url_of(self._machine_of(self._serving.host), self.port(name))

    def _reached_at(self, container: Container) -> tuple[str, int]:
        """Its published port, else its own address, which is reached from the engine's machine."""
        if container.host_port is not None:
            return self._machine_of(container.host_address), container.host_port
        if self._options.connection.machine is None and container.network_address:
            return container.network_address, self._options.container.container_port
        return "", 0

    def _machine_of(self, published_on: str) -> str:
        """A port published on every address is asked at the engine's machine."""
        machine = self._options.connection.machine
        if machine is not None and published_on in ("", "0.0.0.0", "::"):
            return machine
        return local_address(published_on)

    def _ready_path(self, specification: Specification) -> str:
        path = (specification.options or {}).get("ready_path", "/api/v1/ready")
        return str(path)

    def port(self, name: str) -> int:
        """The port that a replica is to be published on."""
        if self._serving is None:
            raise ValueError("without serving options there is no first port")
        return self._serving.port + self._replicas.number(name) - 1
