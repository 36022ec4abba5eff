# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs postgres_backup in the controller process where the target is the controller."""

from __future__ import annotations

from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.postgres_backup import (
    POSTGRES_BACKUP,
)
from ansible_collections.optiinfra.cost_agent.plugins.plugin_utils.engine_action import EngineAction


class ActionModule(EngineAction):
    """postgres_backup without a shipped payload."""

    operation = POSTGRES_BACKUP
