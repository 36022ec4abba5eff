# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Returns the newest lines of the replicas' logs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: agent_logs_info
short_description: Return the newest lines of the replicas' logs
version_added: 0.1.0
description:
  - Reads each replica's log from its end, also of replicas that run no more. Memory use does not
    grow with the log.
  - Passwords in URLs, and values of the agent's secret environment variables, are masked.
options:
  lines:
    description: The most lines of each replica, from 1 to 10000.
    type: int
    default: 100
  since:
    description:
      - Leave out older lines. A duration such as V(15m) or V(2h), or a time such as
        V(2025-01-23T10:00:00Z). A time without a zone is the managed host's local time.
      - The time of a line is the field C(time), C(timestamp), C(@timestamp), C(ts) or C(asctime)
        of a JSON object, or a date at its start. A line without one is as old as the line with
        one before it.
    type: str
  replica:
    description: Only the replica of this name, such as V(cost-agent-8001).
    type: str
extends_documentation_fragment:
  - optiinfra.cost_agent.attributes
  - optiinfra.cost_agent.platform
  - optiinfra.cost_agent.docker
  - optiinfra.cost_agent.kubernetes
seealso:
  - module: optiinfra.cost_agent.agent_info
author:
  - OptiInfra maintainers (@optiinfra)
"""

EXAMPLES = r"""
- name: Read what the replicas said in the last quarter of an hour
  optiinfra.cost_agent.agent_logs_info:
    since: 15m
    lines: 500

- name: Read the last lines of one replica
  optiinfra.cost_agent.agent_logs_info:
    replica: cost-agent-8001
"""

RETURN = r"""
state:
  description: What the logs say.
  returned: success
  type: dict
  contains:
    replicas:
      description: The lines of each replica, oldest first, under its name.
      type: dict
      sample: {"cost-agent-8001": ["2025-01-23 10:00:00,123 INFO ready"]}
summary:
  description: The result in one line.
  returned: success
  type: str
  sample: 300 lines of 3 replicas
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
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.agent_logs import (
    AGENT_LOGS_INFO as OPERATION,
)


def main() -> None:
    run_module(OPERATION)


if __name__ == "__main__":
    main()
