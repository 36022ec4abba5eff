# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The platforms that the agent runs on: one protocol, and the operations on top of it."""

from __future__ import annotations

from .agent_info_operation import AGENT_INFO
from .agent_logs_info_operation import AGENT_LOGS_INFO
from .agent_operation import AGENT
from .preflight_info_operation import PREFLIGHT_INFO
from .release_operations import AGENT_RELEASE, AGENT_ROLLBACK

__all__ = [
    "AGENT",
    "AGENT_INFO",
    "AGENT_LOGS_INFO",
    "AGENT_RELEASE",
    "AGENT_ROLLBACK",
    "PREFLIGHT_INFO",
]
