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
    """Opens connections and closes them all at its end."""

    def __init__(self, login: CacheServer, deadline: Deadline, stack: ExitStack) -> None:
        self._login = login
        self._deadline = deadline
        self._stack = stack

    def open(self, server: CacheServer) -> Node:
        node = Node(server, self._deadline)
        self._stack.callback(node.close)
        return node

    def open_at(self, host: str, port: int) -> Node:
        return self.open(self._login.at(host, port))


@contextmanager
def members(
    params: Params, deadline: Deadline, purpose: str, names: list[str]
) -> Iterator[list[Member]]:
    """The servers behind the options, replicas first and primaries last, each looked at once.

    That is the server with all that replicate from it, the primary that sentinels name with its
    replicas, or every node of a cluster. Raises where one of them cannot be looked at.
    """
    login, sentinels = read_server(params), read_sentinels(params)
    with ExitStack() as stack:
        servers = Servers(login, deadline, stack)
        if sentinels:
            host, port = _primary_by(sentinels, servers, purpose)
            entry = servers.open_at(host, port)
        else:
            entry = servers.open(login)
        first = Member(entry, entry.look(purpose, names))
        if first.look.info.get("cluster_enabled"):
            found = _cluster(first, servers, purpose, names)
        else:
            found = _with_replicas(first, servers, purpose, names)
        yield sorted(found, key=lambda member: member.is_primary)


def _primary_by(sentinels: Sentinels, servers: Servers, purpose: str) -> tuple[str, int]:
    """Where the first sentinel that answers says that the primary is."""
    for number, server in enumerate(sentinels.servers, 1):
        sentinel = servers.open(server)
        try:
            [answer] = sentinel.ask(
                purpose, ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", sentinels.service)
            )
        except OperationError:
            if number == len(sentinels.servers):
                raise
            continue
        if not answer:
            raise OperationError(
                Reason.INVALID_INPUT,
                purpose,
                f"sentinel {server.address} knows no service {sentinels.service!r}",
                "Give in sentinel.service the name that SENTINEL MASTERS shows",
            )
        return str(answer[0]), int(answer[1])
    raise AssertionError("read_sentinels has refused an empty list")


def _with_replicas(
    first: Member, servers: Servers, purpose: str, names: list[str]
) -> list[Member]:  # fmt: skip
    """A server and, level by level, what replicates from it."""
    found, seen, queue = [first], {first.look.run_id}, [first]
    while queue:
        for host, port in replicas_of(queue.pop().look):
            node = servers.open_at(host, port)
            member = Member(node, node.look(purpose, names))
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


def _cluster(first: Member, servers: Servers, purpose: str, names: list[str]) -> list[Member]:
    [text] = first.node.ask(purpose, ("CLUSTER NODES",))
    found = [first]
    for each in read_cluster_nodes(text):
        if each.is_myself:
            continue
        if each.failure:
            raise OperationError(
                Reason.PRECONDITION,
                purpose,
                f"node {each.host}:{each.port} of the cluster is {each.failure}",
                "Repair it, or have the others forget it by CLUSTER FORGET",
            )
        node = servers.open_at(each.host, each.port)
        found.append(Member(node, node.look(purpose, names)))
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
