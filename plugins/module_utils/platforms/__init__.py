# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the agent runs, and what is done with it there.

The names come from their files when they are first asked for: a health check of processes needs
nothing of Kubernetes.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .agent import AGENT
    from .agent_info import observe_agent
    from .agent_options import Agent, at_least, read_agent
    from .arguments import platform_arguments
    from .ceiling import Ceiling, budget_basis, replica_ceiling
    from .drivers import open_driver
    from .environment import Environment
    from .host.cgroup import process_memory_limits
    from .intent import read_intent
    from .kubernetes.options import kubernetes_argument
    from .kubernetes.proxied import ServerAccess, access_through_server
    from .protocol import STARTED, AgentState, Driver, Replica
    from .variable_place import require_ours

__all__ = [
    "AGENT",
    "STARTED",
    "Agent",
    "AgentState",
    "Ceiling",
    "Driver",
    "Environment",
    "Replica",
    "ServerAccess",
    "access_through_server",
    "at_least",
    "budget_basis",
    "kubernetes_argument",
    "observe_agent",
    "open_driver",
    "platform_arguments",
    "process_memory_limits",
    "read_agent",
    "read_intent",
    "replica_ceiling",
    "require_ours",
]

_FILES = {
    "AGENT": "agent",
    "STARTED": "protocol",
    "Agent": "agent_options",
    "AgentState": "protocol",
    "Ceiling": "ceiling",
    "Driver": "protocol",
    "Environment": "environment",
    "Replica": "protocol",
    "ServerAccess": "kubernetes.proxied",
    "access_through_server": "kubernetes.proxied",
    "at_least": "agent_options",
    "budget_basis": "ceiling",
    "kubernetes_argument": "kubernetes.options",
    "observe_agent": "agent_info",
    "open_driver": "drivers",
    "platform_arguments": "arguments",
    "process_memory_limits": "host.cgroup",
    "read_agent": "agent_options",
    "read_intent": "intent",
    "replica_ceiling": "ceiling",
    "require_ours": "variable_place",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_FILES[name]}", __name__), name)
