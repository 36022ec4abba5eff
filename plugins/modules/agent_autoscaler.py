# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets how many replicas follow the load, and says what the load asks for."""

from __future__ import annotations

DOCUMENTATION = r"""
module: agent_autoscaler
short_description: Let the number of replicas follow the load
version_added: 0.1.0
description:
  - Sets the bounds and the CPU target that the number of replicas follows, and returns what they
    ask for now.
  - On platform V(kubernetes) the policy is a HorizontalPodAutoscaler, and Kubernetes scales.
  - On every other platform the policy is kept in the state store. Each run of this module measures
    the replicas' CPU and evaluates the formula of the HorizontalPodAutoscaler. It scales nothing;
    a task that follows does, with M(optiinfra.cost_agent.agent) and RV(state.desired_replicas).
    A timer runs both; see C(playbooks/autoscale.yml).
  - An agent that is stopped on purpose is left alone, and so is one whose replicas are not all up
    to date, since scaling would bring them onto what a canary or a failed deploy keeps back.
  - What cannot be measured changes nothing.
options:
  state:
    description: Whether there is an autoscaler.
    type: str
    choices: [present, absent]
    default: present
  min:
    description: The fewest replicas.
    type: int
    default: 3
  max:
    description: The most replicas.
    type: int
    default: 10
  cpu_percent:
    description:
      - The average CPU to hold.
      - In percent of the pods' CPU requests on platform V(kubernetes), else of what each replica's
        CPU is limited to or measured against (one core without such a number).
    type: int
    default: 70
  scale_up:
    description: How fast replicas are added.
    type: dict
    suboptions:
      stabilization_s:
        description: Seconds whose lowest recommendation holds, 0 to 3600.
        type: int
        default: 0
      select:
        description:
          - Whether the policy that allows the most holds, or the one that allows the least.
          - V(disabled) adds none.
        type: str
        choices: [max, min, disabled]
        default: max
      policies:
        description:
          - The rates.
          - Without them, 4 replicas or 100 percent each 15 seconds.
        type: list
        elements: dict
        suboptions:
          type:
            description: Whether O(scale_up.policies[].value) counts replicas or percent of them.
            type: str
            choices: [replicas, percent]
            required: true
          value:
            description: How much may change in any period.
            type: int
            required: true
          period_s:
            description: The period in seconds, 1 to 1800.
            type: int
            default: 15
  scale_down:
    description: How fast replicas are taken away.
    type: dict
    suboptions:
      stabilization_s:
        description: Seconds whose highest recommendation holds, 0 to 3600.
        type: int
        default: 300
      select:
        description:
          - Whether the policy that allows the most holds, or the one that allows the least.
          - V(disabled) takes none away.
        type: str
        choices: [max, min, disabled]
        default: max
      policies:
        description:
          - The rates.
          - Without them, all that are too many at once.
        type: list
        elements: dict
        suboptions:
          type:
            description: Whether O(scale_down.policies[].value) counts replicas or percent of them.
            type: str
            choices: [replicas, percent]
            required: true
          value:
            description: How much may change in any period.
            type: int
            required: true
          period_s:
            description: The period in seconds, 1 to 1800.
            type: int
            default: 15
  cpu_window_s:
    description:
      - Seconds, 1 to 60, over which the CPU is measured, where it is measured here.
      - V(0) sets the policy and asks nothing.
    type: float
    default: 10
extends_documentation_fragment:
  - optiinfra.cost_agent.attributes
  - optiinfra.cost_agent.platform
  - optiinfra.cost_agent.docker
  - optiinfra.cost_agent.kubernetes
seealso:
  - module: optiinfra.cost_agent.agent
  - module: optiinfra.cost_agent.agent_info
author:
  - OptiInfra maintainers (@optiinfra)
"""

EXAMPLES = r"""
- name: Hold 70 % CPU with 3 to 10 replicas
  optiinfra.cost_agent.agent_autoscaler:
  register: autoscaler

- name: Scale, where Kubernetes does not
  optiinfra.cost_agent.agent:
    replicas: "{{ autoscaler.state.desired_replicas }}"
  when:
    - autoscaler.state.scaled_by == 'agent'
    - autoscaler.state.desired_replicas != autoscaler.state.current_replicas

- name: Let a HorizontalPodAutoscaler take away one replica a minute
  optiinfra.cost_agent.agent_autoscaler:
    platform: kubernetes
    scale_down:
      policies:
        - type: replicas
          value: 1
          period_s: 60

- name: Leave the count alone
  optiinfra.cost_agent.agent_autoscaler:
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode.
  returned: always
  type: list
  elements: str
  sample: ["Stored the policy of cost-agent"]
state:
  description: The policy, and what it asks for. Without a policy or a measurement, only the former.
  returned: always
  type: dict
  contains:
    policy:
      description: The policy in force, null without one.
      type: dict
    scaled_by:
      description:
        - Who changes the count, V(kubernetes), or V(agent) for a task with the module
          M(optiinfra.cost_agent.agent).
      type: str
      sample: agent
    current_replicas:
      description: The count that shall run, 0 for an agent that is stopped.
      type: int
      sample: 3
    desired_replicas:
      description: The count to go to now.
      type: int
      sample: 4
    recommended_replicas:
      description:
        - The count that the load asks for, before windows, rates and bounds.
        - Null where nothing could be measured, and on platform V(kubernetes).
      type: int
      sample: 5
    cpu_percent:
      description: The average CPU of the replicas that were measured.
      type: int
      sample: 92
    conditions:
      description: What holds the count where it is, in the words of Kubernetes.
      type: list
      elements: dict
      sample:
        - type: ScalingLimited
          is_true: true
          reason: TooManyReplicas
          message: 12 are wanted, and 10 is the maximum
    replicas:
      description: Each replica's CPU in percent, null where it did not count.
      type: dict
      sample: {"cost-agent-8001": 95, "cost-agent-8002": 89, "cost-agent-8003": null}
summary:
  description: The result in one line.
  returned: success
  type: str
  sample: 3 -> 4 of 3 to 10 replicas at 70 % CPU, CPU 92 %
duration:
  description: Seconds that the run took.
  returned: always
  type: float
reason:
  description:
    - Why it failed, a word from the collection's closed list.
    - V(locked) while another run changes the agent; the next evaluation makes up for it.
  returned: failure
  type: str
"""

from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.module_runner import (
    run_module,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.agent_autoscaler import (
    AGENT_AUTOSCALER as OPERATION,
)


def main() -> None:
    run_module(OPERATION)


if __name__ == "__main__":
    main()
