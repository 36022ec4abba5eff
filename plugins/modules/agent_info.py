# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells what there is of an agent, and what it uses."""

from __future__ import annotations

DOCUMENTATION = r"""
module: agent_info
short_description: Tell which replicas of the agent run, and what they use
version_added: 0.1.0
description:
  - Looks at the agent and its replicas, asks each for its readiness, and measures memory and CPU.
  - An agent that is stopped or not installed is a finding, not a failure.
options:
  address:
    description:
      - Host name or address under which an observer reaches the replicas.
      - Without it, the one under which they are reached from their own machine.
    type: str
  cpu_window_s:
    description:
      - Watch the replicas for this many seconds, 60 at the most, and tell their average CPU.
      - Without it only their CPU time since the start is told.
      - On Kubernetes the average is that of metrics.k8s.io over a window of its own, and nothing is
        waited for.
    type: float
    default: 0
extends_documentation_fragment:
  - optiinfra.cost_agent.attributes
  - optiinfra.cost_agent.platform
  - optiinfra.cost_agent.docker
  - optiinfra.cost_agent.kubernetes
seealso:
  - module: optiinfra.cost_agent.agent
author:
  - OptiInfra maintainers (@optiinfra)
"""

EXAMPLES = r"""
- name: Look at the agent
  optiinfra.cost_agent.agent_info:
  register: agent_seen

- name: Check the health of its replicas
  optiinfra.cost_agent.health_info:
    targets: "{{ agent_seen.state.targets }}"
"""

RETURN = r"""
state:
  description: The agent as it was seen last.
  returned: always
  type: dict
  contains:
    platform:
      description: Where the agent runs.
      type: str
    name:
      description: The agent's name.
      type: str
    release:
      description: The release that replicas are started from, null when there is none.
      type: str
    intent:
      description:
        - What was asked for last, null before the first start. C(state) is V(started) or
          V(stopped), C(replicas) the count, C(since) in seconds since the epoch, C(names) the
          replicas that shall run.
      type: dict
      sample:
        state: started
        replicas: 1
        since: 1737590400.0
        names: [cost-agent-8001]
    replicas:
      description: Every replica that there is or shall be, in the order of their ports.
      type: list
      elements: dict
      contains:
        name:
          description: The replica's name.
          type: str
          sample: cost-agent-8001
        url:
          description: Where it is reached from its own machine.
          type: str
          sample: http://127.0.0.1:8001
        status:
          description:
            - V(ready) when it answers its readiness endpoint, V(running) when only its process
              lives, V(stopped), or V(foreign) when another program holds its port.
          type: str
        release:
          description: The release that it runs.
          type: str
        up_to_date:
          description: Whether it runs the current release with the current environment and options.
          type: bool
        pid:
          description: Its first process.
          type: int
        started_at:
          description: When it was started, in seconds since the epoch.
          type: float
        via:
          description:
            - How RV(state.replicas[].url) is reached where there is more than one way, V(pod address)
              or V(API server).
          type: str
        note:
          description: Why it is not ready or not up to date, how it ended, or who holds its port.
          type: str
        usage:
          description: What it uses. Measured by M(optiinfra.cost_agent.agent_info) only.
          type: dict
          contains:
            memory_bytes:
              description: Memory of all its processes, pages that they share counted once.
              type: int
            memory_limit_bytes:
              description: Its own limit, else the control group's, else the machine's memory.
              type: int
            cpu_seconds:
              description: CPU time of all its processes since the start.
              type: float
            uptime_s:
              description: Seconds since the start.
              type: float
            cpu_percent:
              description:
                - Average CPU in percent of its limit, else of one core; null without
                  O(cpu_window_s).
              type: float
            cpu_window_s:
              description: The seconds that it was watched for.
              type: float
            cpu_limit_cores:
              description: The cores that it is limited to; null where nothing limits it.
              type: float
    targets:
      description: The replicas as O(optiinfra.cost_agent.health_info#module:targets) takes them.
      type: list
      elements: dict
    releases:
      description: The installed releases, newest first.
      type: list
      elements: dict
      sample: [{"id": "1.4.2", "installed_at": 1737590400.0, "good_at": null}]
summary:
  description: The result in one line.
  returned: success
  type: str
  sample: 3 of 3 ready, release 1.4.2
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
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.agent_info import (
    AGENT_INFO as OPERATION,
)


def main() -> None:
    run_module(OPERATION)


if __name__ == "__main__":
    main()
