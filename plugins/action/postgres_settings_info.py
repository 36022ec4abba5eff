# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's way into the postgres_settings_info operation."""

from __future__ import annotations

from ansible_collections.optiinfra.cost_agent.plugins.module_utils.tuning.postgres_settings_info import (
    POSTGRES_SETTINGS_INFO,
)
from ansible_collections.optiinfra.cost_agent.plugins.plugin_utils.engine_action import EngineAction


class ActionModule(EngineAction):
    """Runs postgres_settings_info in the controller process where the target is the controller."""

    operation = POSTGRES_SETTINGS_INFO
