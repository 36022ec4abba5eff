# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The driver of a platform.

Imported here at the top, and so once by the controller, not again in the worker of each task.
"""

from __future__ import annotations

from ..core.clock import Clock
from .agent_options import Agent, Serving
from .process.driver import ProcessDriver
from .protocol import Driver


def open_driver(agent: Agent, serving: Serving | None, clock: Clock) -> Driver:
    """The driver for an agent; without `serving` it can observe and stop only."""
    if agent.platform == "process":
        return ProcessDriver(agent, serving, clock)
    raise ValueError(f"no driver for platform {agent.platform}")
