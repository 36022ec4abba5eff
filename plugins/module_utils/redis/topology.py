# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which servers belong together, and in which order they are changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from ..core.deadline import Deadline
from ..core.errors import OperationError, Reason
from ..core.operation import Params
from .connection import CacheServer, Sentinels, read_sentinels, read_server
from .node import Look, Node


@dataclass(frozen=True)
class Member:
    """A server of the set, and the first look at it."""

    node: Node
    look: Look

    @property
    def is_primary(self) -> bool:
        return self.look.role == "primary"


@dataclass(frozen=True)
class ClusterNode:
    """A line of CLUSTER NODES."""

    host: str
    port: int
    is_primary: bool
    is_myself: bool
    failure: str | None


class Servers:
    """Opens connections, closes them all at its end, and looks at servers for one purpose."""

    def __init__(
        self,
        login: CacheServer,
        deadline: Deadline,
        stack: ExitStack,
        purpose: str,
        names: list[str],
    ) -> None:
        self.purpose = purpose
        self._login = login
        self._deadline = deadline
        self._stack = stack
        self._names = names

    def open(self, server: CacheServer) -> Node:
        node = Node(server, self._deadline)
        self._stack.callback(node.close)
        return node

    def enter(self, place: tuple[str, int] | None) -> Member:
        """The server to begin with: at this place, or else where the options say."""
        node = self.open(self._login.at(*place) if place else self._login)
        return Member(node, node.look(self.purpose, self._names))

    def meet(self, host: str, port: int, named_by: Member) -> Member:
        """A server whose place another one tells, which may be a place that only it can reach."""
        node = self.open(self._login.at(host, port))
        try:
            return Member(node, node.look(self.purpose, self._names))
        except OperationError as error:
            if error.reason not in (Reason.UNREACHABLE, Reason.TIMEOUT):
                raise
            raise OperationError(
                error.reason,
                self.purpose,
                f"{error.seen} ({named_by.node.address} names that address)",
                "Have it announce an address that is reached from here, or give scope: server to "
                "leave it out",
            ) from error


@contextmanager
def members(
    params: Params, deadline: Deadline, purpose: str, names: list[str]
) -> Iterator[list[Member]]:
    """The servers behind the options, replicas first and primaries last, each looked at once.

    That is the server with all that replicate from it, the primary that sentinels name with its
    replicas, or every node of a cluster; with scope `server`, one of them alone. Raises where one
    of them cannot be looked at.
    """
    login, sentinels = read_server(params), read_sentinels(params)
    with ExitStack() as stack:
        servers = Servers(login, deadline, stack, purpose, names)
        first = servers.enter(_primary_by(sentinels, servers) if sentinels else None)
        if params["scope"] == "server":
            found = [first]
        elif first.look.info.get("cluster_enabled"):
            found = _cluster(first, servers)
        else:
            found = _with_replicas(first, servers)
        yield sorted(found, key=lambda member: member.is_primary)


def _primary_by(sentinels: Sentinels, servers: Servers) -> tuple[str, int]:
    """Where the first sentinel that answers says that the primary is."""
    question = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", sentinels.service)
    for number, server in enumerate(sentinels.servers, 1):
        try:
            [answer] = servers.open(server).ask(servers.purpose, question)
        except OperationError:
            if number == len(sentinels.servers):
                raise
            continue
        if not answer:
            raise OperationError(
                Reason.INVALID_INPUT,
                servers.purpose,
                f"sentinel {server.address} knows no service {sentinels.service!r}",
                "Give in sentinel.service the name that SENTINEL MASTERS shows",
            )
        return str(answer[0]), int(answer[1])
    raise AssertionError("read_sentinels has refused an empty list")


def _with_replicas(first: Member, servers: Servers) -> list[Member]:
    """A server and, level by level, what replicates from it."""
    found, seen, queue = [first], {first.look.run_id}, [first]
    while queue:
        above = queue.pop()
        for place in replicas_of(above.look):
            member = servers.meet(*place, named_by=above)
            if member.look.run_id not in seen:
                seen.add(member.look.run_id)
                found.append(member)
                queue.append(member)
    return found


def replicas_of(look: Look) -> list[tuple[str, int]]:
    """The addresses in a server's lines on its replicas."""
    found = []
    for number in range(int(look.info.get("connected_slaves", 0))):
        replica = look.info.get(f"slave{number}")
        if isinstance(replica, dict):
            found.append((str(replica["ip"]), int(replica["port"])))
    return found


def _cluster(first: Member, servers: Servers) -> list[Member]:
    [nodes] = first.node.ask(servers.purpose, ("CLUSTER NODES",))
    found = [first]
    for each in read_cluster_nodes(nodes):
        if each.failure:
            raise OperationError(
                Reason.PRECONDITION,
                servers.purpose,
                f"node {each.host}:{each.port} of the cluster is {each.failure}",
                "Repair it, or have the others forget it by CLUSTER FORGET",
            )
        if not each.is_myself:
            found.append(servers.meet(each.host, each.port, named_by=first))
    return found


def read_cluster_nodes(answer: dict[str, dict[str, Any]]) -> list[ClusterNode]:
    """The nodes in redis-py's form of CLUSTER NODES."""
    found = []
    for address, node in answer.items():
        host, _colon, port = str(address).partition("@")[0].rpartition(":")
        flags = set(str(node["flags"]).split(","))
        gone = sorted(flags & {"fail", "fail?", "handshake", "noaddr"})
        found.append(
            ClusterNode(
                host.strip("[]"),
                int(port or 0),
                "master" in flags,
                "myself" in flags,
                gone[0] if gone else None,
            )
        )
    return found
