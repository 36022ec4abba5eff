# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What figures of a server mean."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.redis.checks import (
    Finding,
    Readings,
    SlowCommand,
    Verdict,
    check,
    percentile,
    worst,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.redis.thresholds import (
    Thresholds,
)

NOW = 1_700_000_000.0
MIB = 1 << 20
# As a cache that is well: half full, evicting, with an idle replica-less server.
HEALTHY: dict[str, Any] = {
    "used_memory": 500 * MIB,
    "used_memory_rss": 550 * MIB,
    "maxmemory": 1000 * MIB,
    "maxmemory_policy": "allkeys-lru",
    "connected_clients": 10,
    "role": "master",
    "connected_slaves": 0,
}
QUIET = {"evicted_keys": 0, "keyspace_hits": 0, "keyspace_misses": 0, "rejected_connections": 0}


def finding(
    name: str,
    info: dict[str, Any] | None = None,
    counted: dict[str, float] | None = None,
    limits: Thresholds | None = None,
    **changes: Any,
) -> Finding:
    given: dict[str, Any] = {
        "settings": {"maxclients": "10000", "save": ""},
        "window_s": None,
        "now": NOW,
        **changes,
    }
    readings = Readings(
        info={**HEALTHY, **(info or {})}, counted={**QUIET, **(counted or {})}, **given
    )
    return next(each for each in check(readings, limits or Thresholds()) if each.check == name)


@pytest.mark.parametrize(
    ("info", "verdict"),
    [
        ({}, "ok"),
        ({"maxmemory": 0}, "warn"),
        ({"used_memory": 1000 * MIB}, "ok"),  # a cache is full by design
        ({"used_memory": 900 * MIB, "maxmemory_policy": "noeviction"}, "ok"),
        ({"used_memory": 901 * MIB, "maxmemory_policy": "noeviction"}, "warn"),
        ({"used_memory": 1000 * MIB, "maxmemory_policy": "noeviction"}, "critical"),
        ({"used_memory": 1000 * MIB, "maxmemory_policy": "volatile-lru"}, "warn"),
    ],
)
def test_memory(info: dict[str, Any], verdict: str) -> None:
    assert finding("memory", info).verdict == verdict


@pytest.mark.parametrize(
    ("used", "resident", "verdict"),
    [
        (500 * MIB, 700 * MIB, "ok"),
        (500 * MIB, 701 * MIB, "warn"),
        (10 * MIB, 19 * MIB, "ok"),  # nearly twice as much, and yet less than 10 MB
        (MIB, 30 * MIB, "ok"),  # too small to judge
    ],
)
def test_fragmentation(used: int, resident: int, verdict: str) -> None:
    info = {"used_memory": used, "used_memory_rss": resident}
    assert finding("fragmentation", info).verdict == verdict


@pytest.mark.parametrize(
    ("hits", "misses", "verdict"),
    [(80, 20, "ok"), (79, 21, "warn"), (0, 99, None), (0, 100, "warn")],
)
def test_the_hit_ratio_of_enough_lookups(hits: int, misses: int, verdict: str | None) -> None:
    counted = {"keyspace_hits": hits, "keyspace_misses": misses}
    assert finding("hit ratio", counted=counted).verdict == verdict


@pytest.mark.parametrize(
    ("window_s", "words"), [(None, "3 keys since start or reset"), (10, "3 keys in 10 s")]
)
def test_what_is_counted_says_over_which_time(window_s: float | None, words: str) -> None:
    found = finding("evictions", counted={"evicted_keys": 3}, window_s=window_s)
    assert (found.verdict, found.said) == ("warn", words)


@pytest.mark.parametrize(("window_s", "verdict"), [(None, "warn"), (10, "critical")])
def test_clients_that_are_turned_away_now_are_critical(
    window_s: float | None, verdict: str
) -> None:  # fmt: skip
    counted = {"rejected_connections": 1}
    assert finding("rejected clients", counted=counted, window_s=window_s).verdict == verdict


@pytest.mark.parametrize(("clients", "verdict"), [(9000, "ok"), (9001, "warn")])
def test_clients(clients: int, verdict: str) -> None:
    assert finding("clients", {"connected_clients": clients}).verdict == verdict


SAVES = {"settings": {"save": "900 1"}}


@pytest.mark.parametrize(
    ("info", "changes", "verdict"),
    [
        ({}, {}, "ok"),
        ({"rdb_last_bgsave_status": "err"}, {}, "critical"),
        ({"aof_last_write_status": "err"}, {}, "critical"),
        ({"rdb_last_save_time": NOW - 86_401, "rdb_changes_since_last_save": 5}, SAVES, "warn"),
        ({"rdb_last_save_time": NOW - 86_399, "rdb_changes_since_last_save": 5}, SAVES, "ok"),
        ({"rdb_last_save_time": NOW - 86_401, "rdb_changes_since_last_save": 0}, SAVES, "ok"),
        (
            {"rdb_last_save_time": 0, "rdb_changes_since_last_save": 5, "aof_enabled": 1},
            SAVES,
            "ok",
        ),
    ],
)
def test_persistence(info: dict[str, Any], changes: dict[str, Any], verdict: str) -> None:
    assert finding("persistence", info, **changes).verdict == verdict


def replica(**info: Any) -> dict[str, Any]:
    return {"role": "slave", "master_host": "h", "master_port": 1, **info}


@pytest.mark.parametrize(
    ("info", "verdict"),
    [
        (replica(master_link_status="up", master_last_io_seconds_ago=10), "ok"),
        (replica(master_link_status="up", master_last_io_seconds_ago=11), "warn"),
        (replica(master_link_status="down"), "critical"),
        ({"connected_slaves": 1, "slave0": {"ip": "h", "port": 1, "state": "online"}}, "ok"),
        ({"connected_slaves": 1, "slave0": {"ip": "h", "port": 1, "state": "wait_bgsave"}}, "warn"),
        (
            {
                "connected_slaves": 1,
                "slave0": {"ip": "h", "port": 1, "state": "online", "lag": 11},
            },
            "warn",
        ),
    ],
)
def test_replication(info: dict[str, Any], verdict: str) -> None:
    assert finding("replication", info).verdict == verdict


def test_the_slow_log_of_the_last_hour() -> None:
    old, recent = SlowCommand(NOW - 3601, 900, "SORT"), SlowCommand(NOW - 5, 40, "EVAL")
    assert finding("slow log", slow=(old,)).verdict == "ok"
    found = finding("slow log", slow=(recent, old))
    assert (found.verdict, found.said) == ("warn", "1 in the last hour, EVAL took 40 ms")


@pytest.mark.parametrize(("slowest", "verdict"), [(9.9, "ok"), (10.0, "warn")])
def test_latency_is_the_p95_against_the_guides_limit(slowest: float, verdict: str) -> None:
    assert finding("latency", latencies_ms=(1.0,) * 18 + (slowest,) * 2).verdict == verdict


@pytest.mark.parametrize(
    ("times", "verdict", "words"),
    [
        ((), None, "not measured"),
        (((8, 95), (16384, 5)), "ok", "p95 0.008 ms of 100"),
        (((8, 94), (16384, 6)), "warn", "p95 16.384 ms of 100"),
    ],
)
def test_the_time_that_commands_take(times: Any, verdict: str | None, words: str) -> None:
    found = finding("command time", command_times=times)
    assert found.verdict == verdict
    assert words in found.said


MEMORY_ISSUE = (
    "Sam, I detected a few issues in this Redis instance memory implants:\n\n"
    " * Peak memory: In the past this instance used more than 150% the memory that is currently "
    "using. The allocator is normally not able to release memory.\n\nI'm here to keep you safe."
)


@pytest.mark.parametrize(
    ("text", "verdict", "said"),
    [
        ("Hi Sam, I can't find any memory issue in your instance.", "ok", "no issue"),
        ("Hi Sam, this instance is empty or is using very little memory, ...", "ok", "no issue"),
        (
            MEMORY_ISSUE,
            "warn",
            "Peak memory: In the past this instance used more than 150% the memory that is "
            "currently using",
        ),
    ],
)
def test_the_memory_doctor(text: str, verdict: str, said: str) -> None:
    found = finding("memory doctor", memory_doctor=text)
    assert (found.verdict, found.said) == (verdict, said)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("I'm sorry, Dave, I can't do that. Latency monitoring is disabled in this ...", None),
        ("Dave, no latency spike was observed during the lifetime of ...", "ok"),
        ("Dave, I have observed latency spikes. 1. fork: 2 latency spikes (average 20ms).", "warn"),
    ],
)
def test_the_latency_doctor(text: str, verdict: str | None) -> None:
    assert finding("latency doctor", latency_doctor=text).verdict == verdict


def test_what_may_not_be_seen_is_unknown_and_says_what_is_missing() -> None:
    found = finding("slow log", denied={"slow log": "user a may not; Grant it"})
    assert (found.verdict, found.said, found.next_step) == (
        Verdict.UNKNOWN,
        "user a may not",
        "Grant it",
    )


def test_a_figure_that_is_not_there_is_unknown() -> None:
    readings = Readings({}, {}, {}, None, NOW)
    found = {each.check: each for each in check(readings, Thresholds())}
    assert found["memory"].verdict is Verdict.UNKNOWN
    assert found["memory"].said == "INFO has no used_memory"


def test_the_worst_verdict_counts_and_none_is_no_verdict() -> None:
    made = [Finding(v.value, v, "") for v in (Verdict.OK, Verdict.WARN, Verdict.UNKNOWN)]
    assert worst([*made, Finding("x", None, "")]) is Verdict.WARN
    assert worst(made[:1] + made[2:]) is Verdict.UNKNOWN
    assert worst([]) is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("values", "expected"), [([5], 5), (range(1, 101), 95), (range(1, 21), 19), ([3, 1, 2], 3)]
)
def test_the_percentile_is_the_nearest_rank(values: Any, expected: float) -> None:
    assert percentile(list(values), 95) == expected
