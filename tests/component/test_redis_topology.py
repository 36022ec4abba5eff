# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""redis_config where there is more than one server, or more than a password in front of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import trustme
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.redis.node import Node
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.redis.redis_check_info import (
    REDIS_CHECK_INFO,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.redis.redis_config import (
    REDIS_CONFIG,
)

from tests.component.needs import required
from tests.component.operations import run_operation
from tests.component.playbook_run import CHECKOUT
from tests.component.redis_servers import (
    REDIS_7,
    RedisServer,
    cluster,
    free_port,
    redis_server,
    replicated,
    sentinel,
)
from tests.waiting import eventually

GUIDE = {"maxmemory": "2gb", "maxmemory-policy": "allkeys-lru"}
SECRET = "planted-secret-7713"


def config(settings: dict[str, Any], **options: Any) -> dict[str, Any]:
    return run_operation(REDIS_CONFIG, settings=settings, **options)


def nodes(outcome: dict[str, Any], key: str) -> list[Any]:
    return [node[key] for node in outcome["state"]["nodes"]]


# --- replicas -------------------------------------------------------------------------------------


@pytest.fixture
def set_of_three(tmp_path) -> Iterator[list[RedisServer]]:
    with replicated(tmp_path) as servers:
        yield servers


def test_replicas_are_changed_with_their_primary_and_before_it(set_of_three, monkeypatch):
    primary, *_replicas = set_of_three
    changed, answers = [], Node.answers

    def watched(node: Node, purpose: str, commands: Any) -> Any:
        changed.extend(node.address for command in commands if command[0] == "CONFIG SET")
        return answers(node, purpose, commands)

    monkeypatch.setattr(Node, "answers", watched)
    outcome = config(GUIDE, **primary.option)
    assert outcome["changed"], outcome
    assert nodes(outcome, "role") == ["replica", "replica", "primary"]
    assert [server.setting("maxmemory") for server in set_of_three] == ["2147483648"] * 3
    assert (len(changed), changed[-1]) == (3, f"127.0.0.1:{primary.port}")
    assert nodes(outcome, "persisted") == [True] * 3
    assert not config(GUIDE, **primary.option)["changed"]


def test_a_read_only_replica_takes_settings_and_says_that_its_primary_does_not(set_of_three):
    primary, replica, _other = set_of_three
    with replica.client() as client, pytest.raises(redis.exceptions.ReadOnlyError):
        client.set("a", "b")
    outcome = config({"hz": 20}, **replica.option)
    assert outcome["changed"], outcome
    assert nodes(outcome, "role") == ["replica"]
    assert f"its primary 127.0.0.1:{primary.port} stays as it is" in outcome["summary"]
    assert (replica.setting("hz"), primary.setting("hz")) == ("20", "10")


def test_replicas_of_replicas_belong_to_the_set(tmp_path, set_of_three):
    primary, replica, _other = set_of_three
    below = {"replicaof": f"127.0.0.1 {replica.port}"}
    with redis_server(tmp_path / "below", settings=below) as last:
        with replica.client() as client:
            eventually(lambda: client.info("replication")["connected_slaves"] == 1)
        outcome = config({"hz": 20}, **primary.option)
        assert len(nodes(outcome, "address")) == 4
        assert last.setting("hz") == "20"


def test_a_replica_that_refuses_undoes_the_others(set_of_three):
    """The first servers are changed already when the last one, the primary, refuses."""
    primary, *replicas = set_of_three
    with primary.client() as client:
        client.execute_command("ACL SETUSER default -config|set")
    outcome = config({"hz": 20, "timeout": 60}, **primary.option)
    assert (outcome["changed"], outcome["reason"]) == (False, "auth"), outcome
    assert "ACL SETUSER default +config|set" in outcome["msg"]
    assert {server.setting("hz") for server in set_of_three} == {"10"}
    assert {server.setting("timeout") for server in replicas} == {"0"}


def test_a_replica_that_cannot_be_reached_stops_it_before_anything_is_changed(tmp_path):
    settings = {"replica-announce-ip": "127.0.0.1", "replica-announce-port": 1}
    with replicated(tmp_path, replicas=0) as [primary]:
        own = {"replicaof": f"127.0.0.1 {primary.port}", **settings}
        with redis_server(tmp_path / "hidden", settings=own):
            with primary.client() as client:
                eventually(lambda: client.info("replication")["connected_slaves"] == 1)
            outcome = config({"hz": 20}, **primary.option)
            assert outcome["reason"] == "unreachable", outcome
            assert f"(127.0.0.1:{primary.port} names that address)" in outcome["msg"]
            assert "scope: server" in outcome["msg"]
            assert primary.setting("hz") == "10"
            assert config({"hz": 20}, scope="server", **primary.option)["changed"]
        assert primary.setting("hz") == "20"


def test_only_the_primary_evicts_and_only_there_it_is_foreseen(set_of_three):
    primary, *_replicas = set_of_three
    with primary.client() as client:
        client.mset({f"key{number}": "x" * 1000 for number in range(3000)})
    outcome = config({"maxmemory": "3mb", "maxmemory-policy": "allkeys-lru"}, check=True,
                     allow_eviction=True, **primary.option)  # fmt: skip
    foreseen = nodes(outcome, "foresight")
    assert [each["evicted_keys"] > 0 for each in foreseen] == [False, False, True]
    # Three servers on one machine take three times as much of it.
    assert foreseen[0]["maxmemory"] == 3 * (3 << 20)


# --- cluster and sentinel -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def set_of_slots(tmp_path_factory) -> Iterator[list[RedisServer]]:
    with cluster(tmp_path_factory.mktemp("cluster")) as servers:
        yield servers


def test_every_node_of_a_cluster_is_changed(set_of_slots):
    outcome = config({"hz": 20, **GUIDE}, **set_of_slots[1].option)
    assert outcome["changed"], outcome
    assert sorted(nodes(outcome, "address")) == sorted(
        f"127.0.0.1:{server.port}" for server in set_of_slots
    )
    assert {server.setting("hz") for server in set_of_slots} == {"20"}
    assert not config({"hz": 20, **GUIDE}, **set_of_slots[2].option)["changed"]


def test_a_replica_in_a_cluster_is_changed_before_the_primaries(tmp_path):
    with cluster(tmp_path, replicas=1) as servers:
        outcome = config({"hz": 20}, **servers[1].option)
        assert outcome["changed"], outcome
        assert nodes(outcome, "role") == ["replica", "primary", "primary", "primary"]
        assert nodes(outcome, "address")[0] == f"127.0.0.1:{servers[3].port}"
        assert {server.setting("hz") for server in servers} == {"20"}


def test_eviction_is_foreseen_on_each_node_of_a_cluster(set_of_slots):
    for server in set_of_slots:
        with server.client() as client:
            for number in range(3000):
                try:
                    client.set(f"key:{number}", "x" * 1000)
                except redis.exceptions.MovedError:
                    continue
    outcome = config({"maxmemory": "2mb", "maxmemory-policy": "allkeys-lru"}, check=True,
                     allow_eviction=True, **set_of_slots[0].option)  # fmt: skip
    assert all(each["evicted_keys"] > 0 for each in nodes(outcome, "foresight")), outcome


def test_a_node_of_a_cluster_can_be_changed_alone(set_of_slots):
    outcome = config({"timeout": 77}, scope="server", **set_of_slots[1].option)
    assert outcome["changed"], outcome
    assert [server.setting("timeout") for server in set_of_slots] == ["0", "77", "0"]


def test_a_failed_node_stops_it_before_anything_is_changed(tmp_path):
    with cluster(tmp_path) as servers:
        servers[2].end()
        with servers[0].client() as client:
            eventually(lambda: "fail" in client.execute_command("CLUSTER NODES").get(
                f"127.0.0.1:{servers[2].port}", {}).get("flags", ""))  # fmt: skip
        outcome = config({"hz": 20}, **servers[0].option)
        assert outcome["reason"] == "precondition", outcome
        assert f"127.0.0.1:{servers[2].port}" in outcome["msg"]
        assert servers[0].setting("hz") == "10"


def test_sentinels_tell_where_the_primary_is(tmp_path, set_of_three):
    primary, *_replicas = set_of_three
    with sentinel(tmp_path / "sentinel", primary, "cost-agent") as watcher:
        hosts = ["127.0.0.1:1", f"127.0.0.1:{watcher.port}"]  # the first does not answer
        option = {"hosts": hosts, "service": "cost-agent"}
        outcome = config({"hz": 20}, sentinel=option)
        assert outcome["changed"], outcome
        assert len(nodes(outcome, "role")) == 3
        assert primary.setting("hz") == "20"

        unknown = config({"hz": 30}, sentinel={**option, "service": "nix"})
        assert unknown["reason"] == "invalid_input", unknown
        assert "'nix'" in unknown["msg"]

    silent = config({"hz": 30}, sentinel=option)
    assert silent["reason"] == "unreachable", silent


def test_the_primary_is_found_again_after_a_failover(tmp_path, set_of_three):
    primary, *replicas = set_of_three
    with sentinel(tmp_path / "sentinel", primary, "cost-agent") as watcher:
        option = {"hosts": [f"127.0.0.1:{watcher.port}"], "service": "cost-agent"}
        with watcher.client() as client:
            eventually(lambda: len(client.sentinel_slaves("cost-agent")) == 2)
            eventually(lambda: _fails_over(client))
            eventually(
                lambda: client.sentinel_get_master_addr_by_name("cost-agent")[1] != primary.port
            )
        outcome = config({"hz": 20}, sentinel=option)
        assert outcome["changed"], outcome
        assert nodes(outcome, "address")[-1] in {f"127.0.0.1:{each.port}" for each in replicas}


def _fails_over(client: Any) -> bool:
    try:
        client.execute_command("SENTINEL", "FAILOVER", "cost-agent")
    except redis.ResponseError:  # no replica has reported yet
        time.sleep(0.2)
        return False
    return True


# --- TLS ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> dict[str, str]:
    """An authority, a server's and a client's certificate; and an authority of others."""
    folder: Path = tmp_path_factory.mktemp("tls")
    authority, other = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    other.cert_pem.write_to_path(folder / "other.pem")
    for name in ("server", "client"):
        issued = authority.issue_cert("127.0.0.1", "localhost")
        issued.private_key_pem.write_to_path(folder / f"{name}.key")
        issued.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
    return {path.name: str(path) for path in folder.iterdir()}


@pytest.fixture(scope="module")
def tls_server(tmp_path_factory, certificates) -> Iterator[RedisServer]:
    """Wants a client's certificate too, and has no port without TLS."""
    server = RedisServer(
        required(REDIS_7, "Debian"), tmp_path_factory.mktemp("tls-server"), free_port()
    )
    server.settings = {
        "port": 0,
        "tls-port": server.port,
        "tls-cert-file": certificates["server.pem"],
        "tls-key-file": certificates["server.key"],
        "tls-ca-cert-file": certificates["ca.pem"],
    }
    server.write_file()
    try:
        yield server.start()
    finally:
        server.end()


def test_tls_with_a_clients_certificate(tls_server, certificates):
    options = {
        **tls_server.option,
        "tls": True,
        "ca_file": certificates["ca.pem"],
        "client_cert": certificates["client.pem"],
        "client_key": certificates["client.key"],
    }
    assert config({"hz": 20}, **options)["changed"]
    assert not config({"hz": 20}, **{**options, "host": "localhost"})["changed"]


@pytest.mark.parametrize(
    ("change", "reason", "words"),
    [
        ({"ca_file": "other.pem"}, "auth", "not trusted"),
        ({"client_cert": None, "client_key": None}, "unreachable", "tls"),
        ({"tls": False}, "unreachable", "tls"),
        ({"ca_file": "/no/such/file"}, "invalid_input", "option ca_file"),
    ],
)
def test_tls_that_does_not_fit_says_what(tls_server, certificates, change, reason, words):
    options = {
        "tls": True,
        "ca_file": "ca.pem",
        "client_cert": "client.pem",
        "client_key": "client.key",
    }
    given = {
        name: certificates.get(value, value) if isinstance(value, str) else value
        for name, value in {**options, **change}.items()
    }
    outcome = config({"hz": 30}, **tls_server.option, **given)
    assert outcome["reason"] == reason, outcome
    assert words in outcome["msg"]


def test_certificates_may_be_left_unchecked(tls_server, certificates):
    outcome = config(
        {"hz": 20},
        **tls_server.option,
        tls=True,
        validate_certs=False,
        client_cert=certificates["client.pem"],
        client_key=certificates["client.key"],
    )
    assert "reason" not in outcome, outcome


# --- logins and rights ----------------------------------------------------------------------------


@pytest.fixture
def locked(tmp_path) -> Iterator[RedisServer]:
    """A server with a password and an ACL user `operator`."""
    with redis_server(
        tmp_path / "locked", settings={"requirepass": SECRET}, password=SECRET
    ) as server:  # fmt: skip
        yield server


def test_a_password_by_file(tmp_path, locked):
    (tmp_path / "password").write_text(f"{SECRET}\n")
    own = {**locked.option, "password": None, "password_file": str(tmp_path / "password")}
    outcome = config({"hz": 20}, **own)
    assert outcome["changed"]
    assert SECRET not in str(outcome)


@pytest.mark.parametrize(
    ("login", "words"),
    [
        ({"password": None}, "it wants a password"),
        ({"password": "wrong-4711"}, "it refuses user default"),
        ({"username": "nobody"}, "it refuses user nobody"),
    ],
)
def test_a_wrong_login_is_auth(locked, login, words):
    outcome = config({"hz": 20}, **{**locked.option, **login})
    assert outcome["reason"] == "auth", outcome
    assert words in outcome["msg"]
    assert "wrong-4711" not in str(outcome)
    assert SECRET not in str(outcome)


@pytest.mark.parametrize(
    ("rights", "missing"),
    [
        ("+info +config|get +config|set +config|rewrite", None),
        ("+config|get +config|set +config|rewrite", "info"),
        ("+info +config|set +config|rewrite", "config|get"),
        ("+info +config|get +config|rewrite", "config|set"),
    ],
)
def test_a_missing_right_names_its_command(locked, rights, missing):
    with locked.client() as client:
        client.execute_command("ACL SETUSER operator on nopass", *rights.split())
    outcome = config({"hz": 20}, **{**locked.option, "username": "operator", "password": "x"})
    if missing is None:
        assert outcome["changed"], outcome
        return
    assert outcome["reason"] == "auth", outcome
    assert f"ACL SETUSER operator +{missing}" in outcome["msg"]
    assert locked.setting("hz") == "10"


def test_the_rights_in_the_documentation_are_enough(locked):
    """Enough to foresee, change, persist and check; and no other command is used."""
    text = (CHECKOUT / "docs" / "tuning.md").read_text()
    rule = text.partition("ACL SETUSER tuner on >...")[2].partition("```")[0].split()
    with locked.client() as client:
        client.execute_command("ACL SETUSER tuner on nopass", *rule)
        client.mset({f"key{number}": "x" * 1000 for number in range(2000)})
        client.select(3)
        client.set("one", "more")
    login = {**locked.option, "username": "tuner", "password": "x"}
    smaller = {"maxmemory": "2mb", "maxmemory-policy": "allkeys-lru"}
    changed = config(smaller, allow_eviction=True, **login)
    assert nodes(changed, "persisted") == [True], changed
    [node] = run_operation(REDIS_CHECK_INFO, **login)["state"]["nodes"]
    assert "unknown" not in {each["verdict"] for each in node["findings"]}


def test_without_the_right_to_rewrite_the_change_holds_until_a_restart(locked):
    with locked.client() as client:
        client.execute_command("ACL SETUSER operator on nopass +info +config|get +config|set")
    outcome = config({"hz": 20}, **{**locked.option, "username": "operator", "password": "x"})
    assert outcome["changed"], outcome
    [why] = nodes(outcome, "not_persisted_because")
    assert "ACL SETUSER operator +config|rewrite" in why


def test_checks_that_a_user_may_not_see_are_unknown(locked):
    with locked.client() as client:
        client.execute_command("ACL SETUSER watcher on nopass +info +config|get +ping")
    outcome = run_operation(
        REDIS_CHECK_INFO, **{**locked.option, "username": "watcher", "password": "x"}
    )
    [node] = outcome["state"]["nodes"]
    unknown = {f["check"]: f["next_step"] for f in node["findings"] if f["verdict"] == "unknown"}
    assert set(unknown) == {"slow log", "command time", "memory doctor", "latency doctor"}
    assert unknown["slow log"] == "Grant it: ACL SETUSER watcher +slowlog|get"
