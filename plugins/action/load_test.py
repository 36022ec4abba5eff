# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's way into module load_test."""

from __future__ import annotations

from ansible_collections.optiinfra.cost_agent.plugins.module_utils.tuning.load.load_test import (
    LOAD_TEST,
)
from ansible_collections.optiinfra.cost_agent.plugins.plugin_utils.engine_action import EngineAction


class ActionModule(EngineAction):
    """Runs load_test in the controller process where the target is the controller."""

    operation = LOAD_TEST
