"""Free TCP ports on an address of this machine."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

from demo.stack.private_files import write_private

LOOPBACK = "127.0.0.1"
_CLIENT_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")
_BELOW = 8000


def free_ports(count: int, host: str = LOOPBACK) -> list[int]:
    """`count` different ports of `host` that nobody listens on.

    Below those that the kernel gives to clients: one of them would sooner or later be given this
    port before its server listens. Where nothing is free there, the kernel chooses.
    """
    clients = int(_CLIENT_PORTS.read_text(encoding="ascii").split()[0])
    below = range(max(1024, clients - _BELOW), max(1024, clients))
    free = (port for port in random.sample(below, len(below)) if is_free(port, host))
    chosen = list(islice(free, count))
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _each in range(count - len(chosen))]
        for each in sockets:
            each.bind((host, 0))
        return chosen + [each.getsockname()[1] for each in sockets]


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether a server could listen on `port` now."""
    with socket.socket() as probe:
        # As servers do: connections of a stopped server that still linger are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


class PortBook:
    """The ports of one server, by name, remembered in a file."""

    def __init__(
        self, path: Path, names: Sequence[str], keep: Sequence[str], host: str = LOOPBACK
    ) -> None:
        """`keep` names the ports that stay the same over a restart as long as they are free."""
        self._path = path
        self._names = names
        self._keep = keep
        self._host = host

    def current(self) -> dict[str, int]:
        """The ports chosen last; empty when none were chosen yet."""
        try:
            known = json.loads(self._path.read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return known if isinstance(known, dict) and set(known) == set(self._names) else {}

    def choose(self) -> dict[str, int]:
        """Ports for a new start: the kept ones where free, fresh ones otherwise."""
        known = self.current()
        chosen = dict(zip(self._names, free_ports(len(self._names), self._host), strict=True))
        chosen |= {
            name: known[name]
            for name in self._keep
            if name in known and is_free(known[name], self._host)
        }
        write_private(self._path, json.dumps(chosen))
        return chosen
