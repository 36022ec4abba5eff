# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The `agent_logs_info` module: the newest lines of the replicas' logs."""

from __future__ import annotations

import re
from datetime import datetime

from ..core.context import Context
from ..core.errors import invalid_option
from ..core.operation import Operation, Params
from ..core.readable import duration_s
from ..core.result import Result, Table
from .agent_options import read_agent
from .arguments import platform_arguments
from .drivers import open_driver
from .protocol import LogQuery

_MOST_LINES = 10_000


def run(params: Params, context: Context) -> Result:
    """The lines of each replica that has a log, also of those that run no more."""
    agent = read_agent(params)
    query = LogQuery(
        lines=read_lines(params["lines"]), since=since_time(params["since"], context.clock.now())
    )
    driver = open_driver(agent, None, context.clock)
    known = driver.logged()
    wanted = params["replica"]
    if wanted is not None and wanted not in known:
        raise invalid_option(
            "replica",
            f"{wanted!r} has no log",
            f"Give one of {', '.join(known)}" if known else "Start the agent first",
        )
    names = [wanted] if wanted else known
    logs = {name: driver.log(name, query) for name in names}
    count = sum(map(len, logs.values()))
    noun = "replica" if len(names) == 1 else "replicas"
    return Result(
        state={"replicas": logs},
        summary=f"{count} lines of {len(names)} {noun}" if names else "no log yet",
        tables=[Table([name], [[line] for line in lines]) for name, lines in logs.items()],
    )


def read_lines(lines: int) -> int:
    """How many lines of a log to read; raises `invalid_input`."""
    if not 1 <= lines <= _MOST_LINES:
        raise invalid_option("lines", f"{lines} is out of range", f"Give 1 to {_MOST_LINES}")
    return lines


def since_time(text: str | None, now: float) -> float | None:
    """Epoch seconds of `15m`, `2h`, or an ISO 8601 time; None for no text.

    A time without a zone is this machine's local time. Raises `invalid_input`.
    """
    if text is None:
        return None
    duration = duration_s(text)
    if duration is not None:
        return now - duration
    try:
        # fromisoformat takes no Z before Python 3.11
        return datetime.fromisoformat(re.sub(r"[Zz]\Z", "+00:00", text)).timestamp()
    except ValueError:
        raise invalid_option(
            "since",
            f"{text!r} is neither a duration nor a time",
            "Give one such as 15m, 2h or 2025-01-23T10:00:00Z",
        ) from None


AGENT_LOGS_INFO = Operation(
    name="agent_logs_info",
    argument_spec={
        **platform_arguments(),
        "lines": {"type": "int", "default": 100},
        "since": {"type": "str"},
        "replica": {"type": "str"},
    },
    run=run,
)
