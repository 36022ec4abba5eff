# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Returns the result it is given, after the progress lines it is given, as a module would."""

from __future__ import annotations

import time

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display


class ActionModule(ActionBase):
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        super().run(tmp, task_vars)
        arguments = self._task.args
        for line in arguments.get("progress", []):
            time.sleep(arguments["seconds"])
            Display().display(f"    {line}")
        time.sleep(arguments.get("seconds", 0))
        if arguments.get("crash"):
            raise RuntimeError(arguments["crash"])
        return dict(arguments.get("result", {}))
