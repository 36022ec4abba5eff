# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's way into module redis_check_info."""

from __future__ import annotations

from ansible_collections.optiinfra.cost_agent.plugins.module_utils.redis.redis_check_info import (
    REDIS_CHECK_INFO,
)
from ansible_collections.optiinfra.cost_agent.plugins.plugin_utils.engine_action import EngineAction


class ActionModule(EngineAction):
    """Runs redis_check_info in the controller process where the target is the controller."""

    operation = REDIS_CHECK_INFO
