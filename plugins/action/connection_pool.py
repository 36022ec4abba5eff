# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's way into the connection_pool operation."""

from __future__ import annotations

from ansible_collections.optiinfra.cost_agent.plugins.module_utils.tuning.connection_pool import (
    CONNECTION_POOL,
)
from ansible_collections.optiinfra.cost_agent.plugins.plugin_utils.engine_action import EngineAction


class ActionModule(EngineAction):
    """Runs connection_pool in the controller process where the target is the controller."""

    operation = CONNECTION_POOL
