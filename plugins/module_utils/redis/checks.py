# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the figures of one server mean: readings -> findings. No clock and no connection here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import accumulate
from typing import Any

from ..core.readable import age_text, count_text, size_text
from .thresholds import Thresholds

_FEW_LOOKUPS = 100  # a ratio of fewer says nothing
_MB = 1e6
_EMPTY_BYTES = 5 << 20  # MEMORY DOCTOR judges no instance that uses less
_FIRST_EVENT = re.compile(r"1\. (?P<event>[^)]*\))")
_SLOW_LOG_S = 3600.0


class Verdict(str, Enum):
    """How a finding is judged; unknown means that the observer could not see."""

    OK = "ok"
    UNKNOWN = "unknown"
    WARN = "warn"
    CRITICAL = "critical"


@dataclass(frozen=True)
class Finding:
    """One check of one server. Without a verdict it was not measured, by the server's choice."""

    check: str
    verdict: Verdict | None
    said: str
    next_step: str = ""


@dataclass(frozen=True)
class SlowCommand:
    """An entry of the slow log: seconds since the epoch, milliseconds, the command's name."""

    at: float
    took_ms: float
    name: str


@dataclass(frozen=True)
class Readings:
    """What was read of one server.

    `info` and `settings` are as the server shows them. `counted` are its counters over `window_s`
    seconds, or since its start or last CONFIG RESETSTAT where that is None. `command_times` are
    counts of commands by the microseconds that they took at the most. `denied` has, by check,
    the command that this user may not run, in words.
    """

    info: dict[str, Any]
    settings: dict[str, str]
    counted: dict[str, float]
    window_s: float | None
    now: float
    latencies_ms: tuple[float, ...] = ()
    command_times: tuple[tuple[int, int], ...] = ()
    slow: tuple[SlowCommand, ...] = ()
    memory_doctor: str = ""
    latency_doctor: str = ""
    denied: dict[str, str] | None = None

    @property
    def over(self) -> str:
        """What the counters span, in words."""
        return "since start or reset" if self.window_s is None else f"in {self.window_s:g} s"


def check(read: Readings, limits: Thresholds) -> list[Finding]:
    """All findings on a server, in the order in which they are shown."""
    denied = read.denied or {}
    checks = (
        ("memory", _memory),
        ("fragmentation", _fragmentation),
        ("evictions", _evictions),
        ("hit ratio", _hit_ratio),
        ("clients", _clients),
        ("rejected clients", _rejected),
        ("persistence", _persistence),
        ("replication", _replication),
        ("slow log", _slow_log),
        ("latency", _latency),
        ("command time", _command_time),
        ("memory doctor", _memory_doctor),
        ("latency doctor", _latency_doctor),
    )
    findings = []
    for name, judge in checks:
        if name in denied:
            findings.append(Finding(name, Verdict.UNKNOWN, *denied[name].split("; ", 1)))
            continue
        try:
            findings.append(Finding(name, *judge(read, limits)))
        except KeyError as missing:  # services that imitate Redis leave figures out
            said = f"INFO has no {missing.args[0]}"
            findings.append(Finding(name, Verdict.UNKNOWN, said, "Look at the provider's metrics"))
    return findings


def worst(findings: Sequence[Finding]) -> Verdict:
    """The worst verdict there is."""
    order = list(Verdict)
    return max((f.verdict for f in findings if f.verdict), key=order.index, default=Verdict.UNKNOWN)


_Judged = tuple[Any, ...]


def _memory(read: Readings, limits: Thresholds) -> _Judged:
    used, limit = read.info["used_memory"], read.info["maxmemory"]
    policy = str(read.info.get("maxmemory_policy", ""))
    if not limit:
        return (
            Verdict.WARN,
            f"{size_text(used)}, without a limit",
            "Set maxmemory",
        )
    percent = 100 * used / limit
    said = f"{percent:.0f} % of {size_text(limit)}, {policy}"
    if policy.startswith("allkeys-") or percent <= limits.memory_percent:
        return Verdict.OK, said  # a cache that evicts is full by design; evictions have their check
    verdict = Verdict.CRITICAL if policy == "noeviction" and percent >= 100 else Verdict.WARN
    return verdict, said, "Raise maxmemory, or let keys expire or be evicted"


def _fragmentation(read: Readings, limits: Thresholds) -> _Judged:
    rss, used = read.info["used_memory_rss"], read.info["used_memory"]
    ratio, waste = rss / max(used, 1), max(0, rss - used)
    said = f"{100 * ratio:.0f} % of what is used, {size_text(waste)} more"
    if used < _EMPTY_BYTES:
        return Verdict.OK, f"nothing to judge: {size_text(used)} used"
    if ratio <= limits.fragmentation_ratio or waste <= limits.fragmentation_mb * _MB:
        return Verdict.OK, said
    return Verdict.WARN, said, "Set activedefrag, or restart it when that does no harm"


def _evictions(read: Readings, limits: Thresholds) -> _Judged:
    evicted = read.counted["evicted_keys"]
    said = f"{count_text(int(evicted))} keys {read.over}"
    if evicted <= limits.evictions:
        return Verdict.OK, said
    return Verdict.WARN, said, "Raise maxmemory if the hit ratio suffers"


def _hit_ratio(read: Readings, limits: Thresholds) -> _Judged:
    hits, misses = read.counted["keyspace_hits"], read.counted["keyspace_misses"]
    lookups = hits + misses
    if lookups < _FEW_LOOKUPS:
        return None, f"only {int(lookups)} lookups {read.over}"
    percent = 100 * hits / lookups
    said = f"{percent:.1f} % of {count_text(int(lookups))} lookups {read.over}"
    if percent >= limits.hit_percent:
        return Verdict.OK, said
    return Verdict.WARN, said, "See whether keys go too early: evictions, and their expiry"


def _clients(read: Readings, limits: Thresholds) -> _Judged:
    most = int(read.settings.get("maxclients", 0) or read.info.get("maxclients", 0))
    now = read.info["connected_clients"]
    if not most:
        return Verdict.OK, f"{now}"
    said = f"{now} of {most}"
    if 100 * now / most <= limits.clients_percent:
        return Verdict.OK, said
    return Verdict.WARN, said, "Find who leaves connections open (CLIENT LIST), or raise maxclients"


def _rejected(read: Readings, limits: Thresholds) -> _Judged:
    rejected = read.counted["rejected_connections"]
    said = f"{count_text(int(rejected))} {read.over}"
    if rejected <= limits.rejected_connections:
        return Verdict.OK, said
    verdict = Verdict.WARN if read.window_s is None else Verdict.CRITICAL
    return verdict, said, "Raise maxclients, or let clients share connections"


def _persistence(read: Readings, limits: Thresholds) -> _Judged:
    info = read.info
    failed = [
        what
        for key, what in (
            ("rdb_last_bgsave_status", "the last snapshot"),
            ("aof_last_write_status", "the last write of the append-only file"),
            ("aof_last_bgrewrite_status", "the last rewrite of the append-only file"),
        )
        if info.get(key, "ok") != "ok"
    ]
    if failed:
        return Verdict.CRITICAL, f"failed: {failed[0]}", "See its log, and its disk"
    has_snapshots, has_aof = bool(read.settings.get("save")), bool(info.get("aof_enabled"))
    if not has_snapshots and not has_aof:
        return Verdict.OK, "off"
    age_s = max(0.0, read.now - float(info.get("rdb_last_save_time", read.now)))
    since = "no snapshot since the start" if info.get("rdb_saves") == 0 else "last snapshot"
    said = "append-only file" if has_aof else f"{since} {age_text(age_s)} ago"
    changes = int(info.get("rdb_changes_since_last_save", 0))
    if has_aof or not changes or age_s <= limits.snapshot_age_h * 3600:
        return Verdict.OK, said
    said += f", {count_text(changes)} changes since"
    return Verdict.WARN, said, "See its log, and the setting save"


def _replication(read: Readings, limits: Thresholds) -> _Judged:
    info = read.info
    if info.get("role") == "slave":
        primary = f"{info.get('master_host')}:{info.get('master_port')}"
        if info.get("master_link_status") != "up":
            return Verdict.CRITICAL, f"no link to {primary}", "See its log, and masterauth"
        lag = float(info.get("master_last_io_seconds_ago", 0))
        said = f"follows {primary}, heard of it {lag:.0f} s ago"
        return _by(lag > limits.replication_lag_s, said, "See the network between the two")
    count = int(info.get("connected_slaves", 0))
    if not count:
        return Verdict.OK, "no replica"
    replicas = [r for n in range(count) if isinstance(r := info.get(f"slave{n}"), dict)]
    behind = [
        each
        for each in replicas
        if each.get("state") != "online" or float(each.get("lag", 0)) > limits.replication_lag_s
    ]
    if behind:
        first = f"{behind[0].get('ip')}:{behind[0].get('port')} is {behind[0].get('state')}"
        return Verdict.WARN, f"{len(behind)} of {count} behind: {first}", "See that replica's log"
    return Verdict.OK, f"{count} online"


def _slow_log(read: Readings, limits: Thresholds) -> _Judged:
    recent = [each for each in read.slow if read.now - each.at <= _SLOW_LOG_S]
    if not recent:
        return Verdict.OK, "none in the last hour"
    slowest = max(recent, key=lambda each: each.took_ms)
    said = f"{len(recent)} in the last hour, {slowest.name} took {slowest.took_ms:.0f} ms"
    return _by(len(recent) > limits.slow_commands, said, "See SLOWLOG GET for their arguments")


def _latency(read: Readings, limits: Thresholds) -> _Judged:
    if not read.latencies_ms:
        return None, "not measured"
    p95 = percentile(read.latencies_ms, 95)
    said = f"p95 {p95:.1f} ms of {len(read.latencies_ms)} PINGs"
    return _by(p95 >= limits.latency_ms, said, "See the slow log, the network and the CPU")


def _command_time(read: Readings, limits: Thresholds) -> _Judged:
    total = sum(count for _us, count in read.command_times)
    if not total:
        return None, "not measured by this version"
    ranked = sorted(read.command_times)
    passed = accumulate(count for _us, count in ranked)
    p95_us = next(us for (us, _count), so_far in zip(ranked, passed) if so_far * 100 >= total * 95)
    said = f"p95 {p95_us / 1000:.3f} ms of {count_text(total)} commands since start or reset"
    return _by(p95_us >= limits.latency_ms * 1000, said, "See the slow log")


def _memory_doctor(read: Readings, limits: Thresholds) -> _Judged:
    del limits
    text = " ".join(read.memory_doctor.split())
    # Its words for health, and for an instance that is too small to judge (object.c of Redis).
    if not text or "can't find any memory issue" in text or "using very little memory" in text:
        return Verdict.OK, "no issue"
    issues = text.partition("memory implants:")[2].strip(" *") or text
    return Verdict.WARN, issues.split(". ")[0].rstrip("."), "See MEMORY DOCTOR"


def _latency_doctor(read: Readings, limits: Thresholds) -> _Judged:
    del limits
    text = " ".join(read.latency_doctor.split())
    if "monitoring is disabled" in text:
        return None, "off: latency-monitor-threshold is 0"
    if not text or "no latency spike" in text or "no worthwhile latency event" in text:
        return Verdict.OK, "no event"
    match = _FIRST_EVENT.search(text)
    return Verdict.WARN, match["event"] if match else text[:80], "See LATENCY DOCTOR"


def _by(is_bad: bool, said: str, next_step: str) -> _Judged:
    return (Verdict.WARN, said, next_step) if is_bad else (Verdict.OK, said)


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile."""
    ranked = sorted(values)
    rank = max(1, -(-len(ranked) * percent // 100))
    return ranked[int(rank) - 1]
