# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which servers belong together, read from what one of them says."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.errors import OperationError
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.redis.connection import (
    CacheServer,
    read_sentinels,
    server_failure,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.redis.node import Look
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.redis.topology import (
    ClusterNode,
    read_cluster_nodes,
    replicas_of,
)


def test_replicas_are_where_the_primary_says() -> None:
    info = {
        "connected_slaves": 2,
        "slave0": {"ip": "10.0.0.1", "port": 6379, "state": "online"},
        "slave1": {"ip": "10.0.0.2", "port": 6380, "state": "wait_bgsave"},
    }
    assert replicas_of(Look(info)) == [("10.0.0.1", 6379), ("10.0.0.2", 6380)]
    assert replicas_of(Look({})) == []


@pytest.mark.parametrize(
    ("address", "flags", "expected"),
    [
        ("10.0.0.1:6379", "myself,master", ClusterNode("10.0.0.1", 6379, True, True, None)),
        ("[::1]:6379", "slave", ClusterNode("::1", 6379, False, False, None)),
        ("10.0.0.1:6379", "master,fail", ClusterNode("10.0.0.1", 6379, True, False, "fail")),
        (":0", "slave,noaddr", ClusterNode("", 0, False, False, "noaddr")),
    ],
)
def test_a_line_of_cluster_nodes(address: str, flags: str, expected: ClusterNode) -> None:
    assert read_cluster_nodes({address: {"flags": flags}}) == [expected]


@pytest.mark.parametrize(
    ("version", "expected"),
    [("6.2.14", False), ("7.0.0", True), ("8.2.3", True), ("10.0", True), ("255.255.255", True)],
)
def test_batches_are_taken_since_7(version: str, expected: bool) -> None:
    assert Look({"redis_version": version}).takes_batches is expected


def sentinel_params(**sentinel: Any) -> dict[str, Any]:
    empty = dict.fromkeys(("username", "password", "password_file", "ca_file", "client_cert"))
    tls = {"tls": False, "validate_certs": True, "client_key": None}
    option = {**empty, "service": "mymaster", **sentinel}
    return {**empty, **tls, "sentinel": option}


def test_sentinels_have_a_port_of_their_own_by_default() -> None:
    found = read_sentinels(sentinel_params(hosts=["a", "b:1", "[::1]:2", "[::1]"]))
    assert found is not None
    assert [(each.host, each.port) for each in found.servers] == [
        ("a", 26379),
        ("b", 1),
        ("::1", 2),
        ("::1", 26379),
    ]


@pytest.mark.parametrize("hosts", [[], [""], ["a:b"], ["a:70000"], ["a:0"]])
def test_what_is_no_address_of_a_sentinel(hosts: list[str]) -> None:
    with pytest.raises(OperationError, match=r"sentinel\.hosts"):
        read_sentinels(sentinel_params(hosts=hosts))


class NoPermissionError(Exception):
    """Named as redis-py's."""


@pytest.mark.parametrize(
    ("error", "reason", "words"),
    [
        (NoPermissionError("User x has no permissions to run the 'config|set' command"),
         "auth", "ACL SETUSER x +config|set"),
        (NoPermissionError("this user has no permissions to run this"),
         "auth", "ACL SETUSER x +config|get"),
        (Exception("unknown command 'CONFIG', with args"), "precondition", "parameter group"),
        (Exception("DENIED Redis is running in protected mode because"), "auth", "protected mode"),
        (Exception("NOAUTH Authentication required."), "auth", "it wants a password"),
        (Exception("LOADING Redis is loading the dataset"), "failed_state", "loading"),
        (Exception("max number of clients reached"), "unreachable", "maxclients"),
        (Exception("something else"), "failed_state", "something else"),
    ],
)  # fmt: skip
def test_what_an_answer_means(error: Exception, reason: str, words: str) -> None:
    server = CacheServer("h", 1, username="x")
    failure = server_failure("look", server, error, "CONFIG GET")
    assert failure.reason.value == reason
    assert words in str(failure)
    assert "h:1" in str(failure)


def test_a_password_is_in_no_representation() -> None:
    assert "hunter22" not in repr(CacheServer("h", 1, password="hunter22"))
