# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The `postgres_settings_info` module: a server's settings against its machine; report only."""

from __future__ import annotations

from dataclasses import asdict

from ..core.context import Context
from ..core.errors import invalid_option
from ..core.operation import Operation, Params
from ..core.result import Result, Table
from ..postgres import Server, reach_arguments
from .report_lines import wrapped
from .server_settings import read_settings
from .settings_advice import CHANGE, UNKNOWN, SettingAdvice, advise_settings

_MOST_TABLES = 1000
_MIB = 1024**2


def run(params: Params, context: Context) -> Result:
    """Read and compare; what should be another is a finding, not a failure."""
    memory_mb, count = params["memory_mb"], params["tables"]
    if memory_mb is not None and memory_mb < 1:
        raise invalid_option("memory_mb", f"{memory_mb} is no memory", "Give 1 or more")
    if not 0 <= count <= _MOST_TABLES:
        raise invalid_option("tables", f"{count} is out of range", f"Give 0 to {_MOST_TABLES}")
    server = Server.of(params)
    settings, tables = read_settings(server, params["database"], count)
    advice = advise_settings(settings, memory_mb * _MIB if memory_mb else None, tables)
    return Result(
        state={
            "address": server.address,
            "settings": asdict(settings),
            "advice": [each.as_dict() for each in advice],
            "tables": [asdict(table) for table in tables],
        },
        summary=_summary(advice),
        tables=[_table(advice), _sources(advice)],
    )


def _summary(advice: list[SettingAdvice]) -> str:
    changes = [each.setting for each in advice if each.verdict == CHANGE]
    unknown = [each.setting for each in advice if each.verdict == UNKNOWN]
    if not changes and not unknown:
        return f"{len(advice)} settings looked at, all fine"
    parts = [f"to look at: {', '.join(changes)}"] if changes else []
    if unknown:
        parts.append(f"unknown without memory_mb: {', '.join(unknown)}")
    return "; ".join(parts)


def _table(advice: list[SettingAdvice]) -> Table:
    return Table(["setting", "now", "advised", "verdict"], [_row(each) for each in advice])


def _row(advice: SettingAdvice) -> list[str]:
    """Of a table's own setting the value alone: its name is among the reasons."""
    name = advice.setting if len(advice.setting) <= 40 else f"{advice.setting[:37]}..."
    advised = "-" if advice.advised is None else advice.advised.rpartition(" ")[2]
    return [name, advice.now.rpartition("scale_factor ")[2], advised, advice.verdict]


def _sources(advice: list[SettingAdvice]) -> Table:
    lines = []
    for each in advice:
        wanted = f"; {each.advised}" if each.advised and " " in each.advised else ""
        lines.append(f"{each.setting}: {each.arithmetic}{wanted} ({each.source})")
    return Table(["why"], wrapped(lines))


POSTGRES_SETTINGS_INFO = Operation(
    name="postgres_settings_info",
    argument_spec={
        **reach_arguments(),
        "database": {"type": "str", "default": "cost_agent"},
        "memory_mb": {"type": "int"},
        "tables": {"type": "int", "default": 10},
    },
    run=run,
)
