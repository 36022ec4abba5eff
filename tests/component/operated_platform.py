# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator does with an agent, by the operations behind the modules, on any platform."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.context import Context
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.operation import (
    Operation,
    execute,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.agent import (
    AGENT,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.agent_info import (
    AGENT_INFO,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.agent_logs import (
    AGENT_LOGS_INFO,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.agent_release import (
    AGENT_RELEASE,
    AGENT_ROLLBACK,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.preflight_info import (
    PREFLIGHT_INFO,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.tuning.connection_pool import (
    CONNECTION_POOL,
)

# Where a test does not wait for it: long after anything takes here on a busy machine.
TIMEOUT_S = 600

# What a look at a server with PostgreSQL's defaults finds, where nobody else is connected.
DEFAULT_SERVER: dict[str, Any] = {
    "server": {
        "address": "db.example.com:5432",
        "version": 170000,
        "max_connections": 100,
        "superuser_reserved": 3,
        "reserved": 0,
        "role": "cost_agent",
        "role_limit": None,
        "database": "cost_agent",
        "database_limit": None,
    },
    "application_name": "cost-agent",
    "pgbouncer": None,
    "others": {"server": 0, "role": 0, "database": 0, "seen": "now"},
    "sessions": [],
}


def options(operation: Operation, **arguments: Any) -> dict[str, Any]:
    """Arguments as a task gives them, validated and with defaults."""
    validated = ArgumentSpecValidator(operation.argument_spec).validate(arguments)
    assert not validated.error_messages, validated.error_messages
    return dict(validated.validated_parameters)


class OperatedPlatform:
    """One agent; a platform adds how its replicas are deployed, seen and ended."""

    platform: str
    cannot: frozenset[str] = frozenset()  # options that it refuses with precondition
    home: Path
    port: int

    # --- what an operator does ----------------------------------------------------------------

    def agent(self, state: str = "started", check: bool = False, **changes: Any) -> dict[str, Any]:
        arguments = {"state": state, "replicas": 3, "port": self.port, "host": "127.0.0.1"}
        arguments.update({"timeout_s": TIMEOUT_S, "stop_grace_s": 5, "stable_s": 0.05})
        arguments.update(changes)
        return self.run(AGENT, check=check, **arguments)

    def set_pool(
        self, size: int, overflow: int, check: bool = False, **changes: Any
    ) -> dict[str, Any]:
        """Sets the pool of an agent that has a default server for itself."""
        arguments = {"port": self.port, "host": "127.0.0.1", "stop_grace_s": 5, "stable_s": 0.05}
        arguments.update(pool_size=size, max_overflow=overflow, measured=DEFAULT_SERVER)
        arguments.update(changes)
        return self.run(CONNECTION_POOL, check=check, **arguments)

    def record_good(self) -> dict[str, Any]:
        return self.run(AGENT_RELEASE, state="good", timeout_s=TIMEOUT_S)

    def roll_back(self, to: str | None = None, **arguments: Any) -> dict[str, Any]:
        return self.run(AGENT_ROLLBACK, to=to, **arguments)

    def info(self, **arguments: Any) -> dict[str, Any]:
        return self.run(AGENT_INFO, **arguments)

    def logs(self, **arguments: Any) -> dict[str, Any]:
        return self.run(AGENT_LOGS_INFO, **arguments)

    def preflight(self, **arguments: Any) -> dict[str, Any]:
        arguments = {"port": self.port, "host": "127.0.0.1", "disk_mb": 1, **arguments}
        return self.run(PREFLIGHT_INFO, **arguments)

    def run(self, operation: Operation, check: bool = False, **arguments: Any) -> dict[str, Any]:
        given = {"platform": self.platform, "home": str(self.home), **arguments}
        return execute(operation, options(operation, **given), Context(check_mode=check))

    def release(self, version: str) -> str:
        """The id of a release of that version."""
        return version

    # --- what a test looks at -----------------------------------------------------------------

    def names(self, count: int = 3) -> list[str]:
        raise NotImplementedError

    def ask(self, name: str) -> dict[str, Any]:
        """What a replica says about itself."""
        raise NotImplementedError

    def serving(self) -> list[str]:
        """The replicas that answer."""
        found = []
        for name in self.names(5):
            with contextlib.suppress(OSError):
                self.ask(name)
                found.append(name)
        return found

    def tree(self) -> dict[str, str]:
        """Every file below the home and its content, to see that nothing was touched."""
        files = (path for path in sorted(self.home.rglob("*")) if path.is_file())
        return {str(path): path.read_text(errors="replace") for path in files}
