# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""haproxy in front of replicas on this machine, as a site has a load balancer there."""

from __future__ import annotations

import csv
import signal
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from demo.stack.ports import LOOPBACK
from demo.stack.private_files import write_private
from demo.stack.processes import StopStep
from demo.stack.server import Server

_SETTINGS = """\
global
    maxconn 4000
    stats socket ipv4@{host}:{stats} level operator
    log stdout format timed local0
defaults
    mode http
    log global
    option httplog
    option dontlog-normal
    # A request that could not be delivered may go to another replica, three times.
    option redispatch 1
    retries 3
    timeout connect 1s
    timeout client 30s
    timeout server 30s
    # A replica that drains says so at once. One that is slow, on a machine that does much else, is
    # not away: no other would be faster.
    timeout check 5s
frontend agent
    bind {host}:{http}
    default_backend replicas
backend replicas
    balance roundrobin
    option httpchk GET {check_path}
    http-check expect status 200
    # One slow answer is no outage; a replica that ends has to drain for longer than three checks.
    default-server check inter {check_interval_ms}ms fall 3 rise 1
"""


class Haproxy(Server):
    """One proxy with a fixed set of backends, as a context manager; those that are away are down."""

    name = "haproxy"
    programs = frozenset({"haproxy"})
    port_names = ("http", "stats")
    main_port = "http"
    kept_ports = ("http",)
    # At SIGTERM it ends at once; SIGUSR1 would wait for clients that keep their connections.
    stop_steps = (StopStep(signal.SIGTERM, 5.0), StopStep(signal.SIGKILL, 5.0))

    def __init__(
        self,
        home: Path,
        backends: Sequence[tuple[str, int]],
        *,
        check_path: str = "/api/v1/ready",
        check_interval_ms: int = 200,
    ) -> None:
        """`backends` are the addresses of all replicas that there may ever be."""
        super().__init__(home)
        self._backends = list(backends)
        self._check_path = check_path
        self._check_interval_ms = check_interval_ms

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.down()

    @property
    def url(self) -> str:
        """Where clients go; without a path."""
        return f"http://{self.endpoint}"

    def prepare(self) -> None:
        for folder in (self.folder, self.log.parent, self._record.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def configure(self, ports: dict[str, int]) -> Sequence[str]:
        settings = _SETTINGS.format(
            host=LOOPBACK,
            check_path=self._check_path,
            check_interval_ms=self._check_interval_ms,
            **ports,
        )
        for number, (host, port) in enumerate(self._backends, start=1):
            settings += f"    server replica-{number} {host}:{port}\n"
        path = self.folder / "haproxy.cfg"
        write_private(path, settings)
        return ["haproxy", "-db", "-f", str(path)]  # in the foreground

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "PATH": "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"}

    def answers(self) -> bool:
        """Whether it takes connections and knows its backends."""
        try:
            return len(self.states()) == len(self._backends)
        except OSError:
            return False

    def states(self) -> list[str]:
        """What it thinks of each backend, in order: UP, DOWN, ... Raises OSError."""
        with socket.create_connection((LOOPBACK, self.ports["stats"]), timeout=2.0) as sent:
            sent.sendall(b"show stat\n")
            with sent.makefile(encoding="ascii") as answer:
                lines = [line for line in answer if line.strip()]
        rows = csv.DictReader(line.removeprefix("# ") for line in lines)
        return [row["status"] for row in rows if row["svname"].startswith("replica-")]

    def wait_for_up(self, count: int, limit_s: float = 10.0) -> None:
        """Until it sends requests to that many backends. Raises TimeoutError."""
        deadline = time.monotonic() + limit_s
        while self.states().count("UP") != count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"haproxy: wanted {count} backends up, they are {self.states()}")
            time.sleep(0.02)

    def said(self, lines: int = 40) -> str:
        """The end of its log: changes of its backends, and requests that failed."""
        return "\n".join(self.log.read_text().splitlines()[-lines:])

    def clean_up(self) -> None:
        """A killed haproxy leaves nothing."""

    def address(self) -> dict[str, str | int]:
        return {"url": self.url}
