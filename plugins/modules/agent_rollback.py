# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the last good release current again."""

from __future__ import annotations

DOCUMENTATION = r"""
module: agent_rollback
short_description: Make the last good release of the agent current again
version_added: 0.1.0
description:
  - Makes the release current that was last recorded good, in one step, and brings back the
    environment that it proved good with; on platform V(kubernetes) its whole template.
  - When the current release is recorded good itself, with the environment that it has now, nothing
    changes, so a second run does not go further back.
  - Restarts nothing. M(optiinfra.cost_agent.agent), in its state V(started), brings the replicas
    to the current release.
options:
  to:
    description:
      - The installed release to go back to, whether or not it is recorded good. One that is not
        gets the present environment.
      - Without it, the one that was last recorded good.
      - On platform V(kubernetes) also a revision's number, as C(kubectl rollout history) lists them.
    type: str
  timeout_s:
    description: Seconds to wait for another run on this agent.
    type: float
    default: 60
extends_documentation_fragment:
  - optiinfra.cost_agent.attributes
  - optiinfra.cost_agent.platform
  - optiinfra.cost_agent.docker
  - optiinfra.cost_agent.kubernetes
seealso:
  - module: optiinfra.cost_agent.agent
  - module: optiinfra.cost_agent.agent_release
author:
  - OptiInfra maintainers (@optiinfra)
"""

EXAMPLES = r"""
- name: Go back to the last release that was healthy
  optiinfra.cost_agent.agent_rollback:

- name: Go back to release 1.4.1
  optiinfra.cost_agent.agent_rollback:
    to: 1.4.1
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode.
  returned: always
  type: list
  elements: str
  sample: ["Switched the current release from 1.4.2 to 1.4.1"]
state:
  description: The releases as they are after the run.
  returned: always
  type: dict
  contains:
    release:
      description: The current release. In check mode, the one that would be current.
      type: str
    previous:
      description: The release that was current before this run, null when there was none.
      type: str
    releases:
      description: The installed releases, newest first. Times are seconds since the epoch.
      type: list
      elements: dict
      sample: [{"id": "1.4.1", "installed_at": 1737590400.0, "good_at": 1737590460.0,
                "current": true, "digest": "9f2c"}]
    not_removed:
      description: Always empty, a rollback removes nothing.
      type: list
      elements: str
summary:
  description: The result in one line.
  returned: success
  type: str
  sample: from 1.4.2 to 1.4.1
duration:
  description: Seconds that the run took.
  returned: always
  type: float
reason:
  description: Why it failed, a word from the collection's closed list.
  returned: failure
  type: str
"""

from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.module_runner import (
    run_module,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.agent_release import (
    AGENT_ROLLBACK as OPERATION,
)


def main() -> None:
    run_module(OPERATION)


if __name__ == "__main__":
    main()
