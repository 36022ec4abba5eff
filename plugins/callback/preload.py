# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: preload
type: aggregate
short_description: Import a platform's libraries once, and share them with every task
version_added: 0.1.0
author:
  - OptiInfra maintainers (@optiinfra)
description:
  - Ansible runs every task of every host in a process that is forked off the controller. What the
    controller has imported is there already; what it has not, each of them imports anew. The
    library C(kubernetes) and the driver that uses it take 0.2 s.
  - So this imports, at the start of a play, what the platform of its first host needs, as
    C(cost_agent_platform) names it.
  - Then it has Python's garbage collector leave alone what is there. Else each of those processes
    copies the memory that it shares with the controller, only to look for garbage in it.
  - It prints nothing, and a library that is not installed is for the task to say.
requirements:
  - Is named in C(callbacks_enabled).
"""

EXAMPLES = r"""
ansible.cfg: |
  [defaults]
  callbacks_enabled = optiinfra.cost_agent.preload
"""

import contextlib
import gc
from importlib import import_module
from typing import Any

from ansible.plugins.callback import CallbackBase

_PLATFORMS = "ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms"
_MODULES = {
    "docker": (f"{_PLATFORMS}.docker.open", "docker"),
    "kubernetes": (f"{_PLATFORMS}.kubernetes.driver", "kubernetes"),
}


class CallbackModule(CallbackBase):
    """Imports, shares, and says nothing."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "optiinfra.cost_agent.preload"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_play_start(self, play: Any) -> None:
        # A value that is no text of these, as a template that only a task can read, is passed over.
        for module in _MODULES.get(_platform(play), ()):
            with contextlib.suppress(ImportError):
                import_module(module)
        gc.freeze()


def _platform(play: Any) -> str:
    """The first host's, as its inventory says it."""
    manager = play.get_variable_manager()
    hosts = manager.get_vars(play=play)["ansible_play_hosts_all"]
    if not hosts:
        return ""
    first = manager._inventory.get_host(hosts[0])
    return str(manager.get_vars(play=play, host=first).get("cost_agent_platform"))
