# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""redis_check_info: look at every server and judge what is seen."""

from __future__ import annotations

from typing import Any

from ..core.context import Context
from ..core.deadline import Deadline
from ..core.errors import invalid_option
from ..core.operation import Operation, Params
from ..core.result import Result, Table
from .checks import Finding, Readings, Verdict, check, percentile, worst
from .connection import SERVER_RULES, server_arguments
from .readings import SETTINGS, read_all
from .thresholds import read_thresholds, thresholds_argument
from .topology import Member, members

_PURPOSE = "check the cache"
_MOST_PINGS = 1000
_LONGEST_WINDOW_S = 600.0


def check_options() -> dict[str, dict[str, Any]]:
    """Mirrored by the documentation of module redis_check_info; a test compares the two."""
    return {
        **server_arguments(),
        "window_s": {"type": "float", "default": 0.0},
        "samples": {"type": "int", "default": 20},
        "thresholds": thresholds_argument(),
    }


def redis_check_info(params: Params, context: Context) -> Result:
    """Check every server that belongs together; a bad finding is reported, and is no failure."""
    limits = read_thresholds(params["thresholds"])
    window_s, pings = params["window_s"], params["samples"]
    if not 0 <= window_s <= _LONGEST_WINDOW_S:
        raise invalid_option("window_s", f"{window_s:g} is no such time", "Give 0 to 600")
    if not 1 <= pings <= _MOST_PINGS:
        raise invalid_option("samples", f"{pings} is too few or too many", "Give 1 to 1000")
    deadline = Deadline(context.clock, params["timeout_s"] + window_s)
    with members(params, deadline, _PURPOSE, list(SETTINGS)) as servers:
        readings = read_all(servers, window_s, pings, context.clock, _PURPOSE)
        findings = [check(each, limits) for each in readings]
    return Result(
        state=_state(servers, readings, findings),
        summary=_summary(servers, findings),
        tables=_tables(servers, findings),
    )


def _state(
    servers: list[Member], readings: list[Readings], findings: list[list[Finding]]
) -> dict[str, Any]:  # fmt: skip
    nodes = [_node(*each) for each in zip(servers, readings, findings)]
    return {"verdict": worst([f for each in findings for f in each]).value, "nodes": nodes}


def _node(member: Member, read: Readings, findings: list[Finding]) -> dict[str, Any]:
    info = read.info
    return {
        "address": member.node.address,
        "role": member.look.role,
        "version": str(info.get("redis_version", "")),
        "verdict": worst(findings).value,
        "findings": [
            {
                "check": each.check,
                "verdict": each.verdict.value if each.verdict else None,
                "said": each.said,
                "next_step": each.next_step,
            }
            for each in findings
        ],
        "used_bytes": info.get("used_memory"),
        "maxmemory": info.get("maxmemory"),
        "policy": info.get("maxmemory_policy"),
        "counted": read.counted,
        "counted_over_s": read.window_s,
        "latency_p95_ms": round(percentile(read.latencies_ms, 95), 3),
        "uptime_s": info.get("uptime_in_seconds"),
    }


def _summary(servers: list[Member], findings: list[list[Finding]]) -> str:
    everything = [finding for each in findings for finding in each]
    verdict = worst(everything)
    where = servers[0].node.address if len(servers) == 1 else f"{len(servers)} servers"
    if verdict is Verdict.OK:
        return f"{where}: ok"
    bad = [each.check for each in everything if each.verdict is verdict]
    return f"{where}: {verdict.value}: {', '.join(dict.fromkeys(bad))}"


def _tables(servers: list[Member], findings: list[list[Finding]]) -> list[Table]:
    """All checks of a single server; of several, what is not ok, after a line for each."""
    if len(servers) == 1:
        [only] = findings
        columns = ["check", "verdict", "seen", "next"]
        shown = len(columns) if any(each.next_step for each in only) else len(columns) - 1
        return [Table(columns[:shown], [_row(each)[:shown] for each in only])]
    rows = [
        [member.node.address, member.look.role, worst(each).value, _of(each, "memory")]
        for member, each in zip(servers, findings)
    ]
    bad = [
        [member.node.address, *_row(finding)]
        for member, each in zip(servers, findings)
        for finding in each
        if finding.verdict not in (None, Verdict.OK)
    ]
    tables = [Table(["server", "role", "verdict", "memory"], rows)]
    return tables + ([Table(["server", "check", "verdict", "seen", "next"], bad)] if bad else [])


def _row(finding: Finding) -> list[str]:
    verdict = finding.verdict.value if finding.verdict else "-"
    return [finding.check, verdict, finding.said, finding.next_step]


def _of(findings: list[Finding], name: str) -> str:
    return next(each.said for each in findings if each.check == name)


REDIS_CHECK_INFO = Operation("redis_check_info", check_options(), redis_check_info, SERVER_RULES)
