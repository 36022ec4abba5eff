# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The `agent_evidence` module: what is to be seen of an agent, saved before anything is touched."""

from __future__ import annotations

import contextlib
import json
import uuid
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any, Callable

from ..core.context import Context
from ..core.errors import OperationError
from ..core.operation import Operation, Params
from ..core.redact import redact
from ..core.result import Result
from ..repository import open_state_store
from .agent_info import observe_agent
from .agent_logs import read_lines
from .agent_options import Agent, at_least, read_agent, state_store_url
from .arguments import platform_arguments
from .drivers import open_driver
from .protocol import Driver, LogQuery


def run(params: Params, context: Context) -> Result:
    """Save what can be seen; what cannot is told, and keeps nothing else from being saved."""
    agent = read_agent(params)
    lines, keep = read_lines(params["lines"]), params["keep"]
    at_least("keep", keep, 1)
    url = params["save_to"] or state_store_url(params)
    store = open_state_store(url)
    driver = open_driver(agent, None, context.clock)
    now = context.clock.now()
    evidence, missing = _gather(agent, driver, lines)
    evidence = {"agent": agent.name, "platform": agent.platform, "taken_at": now, **evidence}
    evidence["known"] = params["known"] or {}
    prefix = f"evidence/{agent.name}"
    stamp = datetime.fromtimestamp(now, timezone.utc).strftime("%Y%m%dT%H%M%S.%fZ")
    key = f"{prefix}/{stamp}-{uuid.uuid4().hex[:8]}.json"
    if not context.check_mode:
        text = json.dumps(_masked(evidence, driver), indent=2, sort_keys=True)
        store.write(key, text.encode())
        for old in store.list(prefix)[:-keep]:
            store.delete(old)
    location = f"{url.rstrip('/')}/{key}"
    return Result(
        changed=True,
        actions=[f"Saved the evidence as {location}"],
        state={"location": location, "missing": missing},
        summary=location + (f", without {', '.join(missing)}" if missing else ""),
        stats={"cost_agent_evidence": {agent.name: location}},
    )


def _gather(agent: Agent, driver: Driver, lines: int) -> tuple[dict[str, Any], dict[str, str]]:
    """The parts, and why each part is missing that cannot be had."""
    parts: dict[str, Callable[[], Any]] = {
        "state": lambda: asdict(observe_agent(agent, driver)),
        "logs": lambda: {name: driver.log(name, LogQuery(lines)) for name in driver.logged()},
    }
    found: dict[str, Any] = {}
    missing: dict[str, str] = {}
    for name, look in parts.items():
        try:
            found[name] = look()
        except OperationError as error:
            missing[name] = str(error)
    return {**found, "missing": missing}, missing


def _masked(evidence: dict[str, Any], driver: Driver) -> Any:
    """Once more without the environment's secrets, which a caller may have met elsewhere."""
    secrets: set[str] = set()
    with contextlib.suppress(OperationError):  # then there are no logs to mask either
        secrets = driver.environment().secret_values()
    return redact(evidence, secrets)


AGENT_EVIDENCE = Operation(
    name="agent_evidence",
    argument_spec={
        **platform_arguments(),
        "known": {"type": "dict"},
        "save_to": {"type": "str"},
        "lines": {"type": "int", "default": 200},
        "keep": {"type": "int", "default": 20},
    },
    run=run,
)
