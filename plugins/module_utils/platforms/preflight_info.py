# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The `preflight_info` module: whether an agent could be deployed here."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from ..core.context import Context
from ..core.errors import OperationError, Reason, invalid_option
from ..core.operation import Operation, Params
from ..core.result import Result
from .agent_options import at_least, read_agent, read_replicas, read_serving, require_ports
from .arguments import platform_arguments, serving_arguments
from .drivers import open_driver
from .intent import DEFAULT_REPLICAS, read_intent

# The checks that a summary names, of whichever platform.
_SHOWN = ("python", "engine", "ports", "api", "workload", "quota")


def run(params: Params, context: Context) -> Result:
    """Look at everything, then fail with all that is missing at once."""
    agent, serving = read_agent(params), read_serving(params)
    count = read_replicas(params["replicas"], serving.port)
    at_least("disk_mb", params["disk_mb"], 0)
    source = Path(params["source"]) if params["source"] else None
    if source is not None and not source.is_absolute():
        raise invalid_option(
            "source", f"{str(source)!r} is not absolute", "Give it from the root on"
        )
    if count is None:
        intent = read_intent(agent.store, agent.name)
        count = intent.replicas if intent else DEFAULT_REPLICAS
        require_ports(serving.port, count)
    driver = open_driver(agent, serving, context.clock)
    checks = driver.preflight(count, params["disk_mb"], source)
    state = {"checks": [asdict(check) for check in checks]}
    failed = [check for check in checks if not check.ok]
    if failed:
        raise OperationError(
            Reason.PRECONDITION,
            f"find this machine ready for {agent.name}",
            "; ".join(check.seen for check in failed),
            "Put these right, then run this again",
            state=state,
        )
    shown = [check.seen for check in checks if check.name in _SHOWN]
    return Result(state=state, summary=", ".join(shown))


PREFLIGHT_INFO = Operation(
    name="preflight_info",
    argument_spec={
        **platform_arguments(),
        **serving_arguments(),
        "source": {"type": "path"},
        "disk_mb": {"type": "int", "default": 500},
    },
    run=run,
)
