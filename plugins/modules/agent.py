# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts, stops, restarts or scales the agent."""

from __future__ import annotations

DOCUMENTATION = r"""
module: agent
short_description: Start, stop, restart or scale the agent
version_added: 0.1.0
description:
  - Brings the agent to a wanted state, whatever was there before. A run that was killed half way
    is put right by the next one.
  - Replicas that run another release, environment or option than wanted are replaced one at a
    time, and each must be ready before the next is touched. When one fails, the run ends at once
    and the others go on serving.
  - So a deploy is M(optiinfra.cost_agent.agent_release) and then this module.
options:
  state:
    description:
      - V(started) runs the wanted number of replicas, all from the current release.
      - V(stopped) sends SIGTERM to all at once, and SIGKILL to those that outlive
        O(stop_grace_s). That it was on purpose, and the count, are remembered.
      - V(restarted) replaces every replica, one at a time, and starts a stopped agent.
      - V(scaled) is V(started) with a count that must be given, for an agent that is started. One
        that is stopped on purpose stays so, and the run fails.
    type: str
    choices: [started, stopped, restarted, scaled]
    default: started
  release:
    description:
      - The release that the replicas must run. The run fails when it is not the current one.
      - In check mode it may be one that is not deployed yet, so that a whole deploy can be
        rehearsed.
      - Without it, the current release.
    type: str
  workers:
    description: Processes of each replica that serve requests.
    type: int
    default: 1
  environment:
    description:
      - Environment variables of the replicas. Numbers are turned to text, booleans to V(true) and
        V(false), and variables that are null are left out.
      - Without it, the plain variables that were set last stay.
      - C(RELEASE_ID) is set for every replica, and cannot be given.
    type: dict
  environment_secrets:
    description:
      - Variables such as O(environment), whose values are never shown.
      - Without it, the secret variables that were set last stay.
    type: dict
  memory_limit_mb:
    description:
      - What the memory of a replica is measured against, in MiB. Nothing enforces it on platform
        V(process).
      - Without it, the control group's limit, else the machine's memory.
    type: int
  cpu_limit_cores:
    description:
      - The cores that the CPU of a replica is measured against. Nothing enforces it on platform
        V(process).
      - Without it, one core.
    type: float
  ready_path:
    description: Path that answers with a status of 200 to 299 when a replica can take requests.
    type: str
    default: /api/v1/ready
  stop_grace_s:
    description: Seconds that a replica may take to finish its requests after SIGTERM.
    type: float
    default: 30
  timeout_s:
    description:
      - Seconds that the whole run may take, waiting for another run on this agent included.
      - Must be more than O(stop_grace_s) and O(stable_s). A replica is never killed before its
        grace has passed.
    type: float
    default: 60
  stable_s:
    description: Seconds that a started replica must stay ready before it counts.
    type: float
    default: 0.5
  canary:
    description:
      - Bring one replica onto what is wanted and leave the others as they are, so that it can be
        watched before the next run goes on with them.
      - Does nothing where one is there already, or where no two replicas run.
    type: bool
    default: false
  budget_basis:
    description:
      - What M(optiinfra.cost_agent.connection_pool_info) returned as C(basis) when it weighed the
        connections. Refused with reason V(precondition) where another run has changed the
        environment or the most replicas since.
    type: str
attributes:
  idempotent:
    support: partial
    details: With O(state=restarted) every run replaces the replicas.
extends_documentation_fragment:
  - optiinfra.cost_agent.attributes
  - optiinfra.cost_agent.platform
  - optiinfra.cost_agent.docker
  - optiinfra.cost_agent.kubernetes
  - optiinfra.cost_agent.platform.listening
  - optiinfra.cost_agent.platform.serving
seealso:
  - module: optiinfra.cost_agent.agent_info
  - module: optiinfra.cost_agent.agent_release
author:
  - OptiInfra maintainers (@optiinfra)
"""

EXAMPLES = r"""
- name: Run three replicas of the current release on ports 8001 to 8003
  optiinfra.cost_agent.agent:
    replicas: 3
    environment:
      DB_POOL_SIZE: 20
      DB_MAX_OVERFLOW: 10
    environment_secrets:
      DATABASE_URL: "{{ vault_database_url }}"

- name: Restart one replica at a time
  optiinfra.cost_agent.agent:
    state: restarted

- name: Stop the agent, and remember how many replicas it had
  optiinfra.cost_agent.agent:
    state: stopped
    stop_grace_s: 20

- name: Run five replicas of an agent that is started
  optiinfra.cost_agent.agent:
    state: scaled
    replicas: 5

- name: Start as many replicas as before
  optiinfra.cost_agent.agent:
    state: started
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode. Names a SIGKILL that was needed.
  returned: always
  type: list
  elements: str
  sample: ["Stopped cost-agent-8001 in 0.6 s", "Started cost-agent-8001, release 1.4.2",
           "cost-agent-8001 was ready after 1.2 s"]
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
      description: Every replica that there is, in the order of their ports.
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
    releases:
      description: The installed releases, newest first.
      type: list
      elements: dict
      sample: [{"id": "1.4.2", "installed_at": 1737590400.0, "good_at": null}]
summary:
  description: The result in one line.
  returned: success
  type: str
  sample: 3 of 3, none below 2 ready
duration:
  description: Seconds that the run took.
  returned: always
  type: float
reason:
  description: Why it failed, a word from the collection's closed list.
  returned: failure
  type: str
events:
  description: What the cluster noted of the pod that failed, newest last.
  returned: failure on platform kubernetes
  type: list
  elements: str
log_tail:
  description: The last lines of a replica that failed or did not become ready, redacted.
  returned: when a replica failed
  type: list
  elements: str
"""

from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.module_runner import (
    run_module,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.agent import (
    AGENT as OPERATION,
)


def main() -> None:
    run_module(OPERATION)


if __name__ == "__main__":
    main()
