# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Saves what is to be seen of an agent before anything is touched."""

from __future__ import annotations

DOCUMENTATION = r"""
module: agent_evidence
short_description: Save what is to be seen of an agent
version_added: 0.1.0
description:
  - Saves the agent's state, the last lines of each replica's log and what the play knows already
    as one JSON document, in the state store unless told otherwise, below C(evidence/<name>/).
  - Run it before a remedy, which wipes away what happened. Secrets of the replicas' environment and
    passwords in URLs are masked.
  - What cannot be seen is named in the document, and does not keep the rest from being saved.
options:
  known:
    description:
      - What the play knows already, kept as it is given, for example the result of the task that
        failed and of the last health check.
    type: dict
  save_to:
    description:
      - Where the document is saved, C(file:///folder) or C(s3://bucket/prefix).
      - Without it, O(state_store).
    type: str
  lines:
    description: Lines of each replica's log, 1 to 10000.
    type: int
    default: 200
  keep:
    description: How many documents of this agent stay; the oldest are removed.
    type: int
    default: 20
attributes:
  idempotent:
    support: none
    details: Every run saves another document.
extends_documentation_fragment:
  - optiinfra.cost_agent.attributes
  - optiinfra.cost_agent.platform
  - optiinfra.cost_agent.docker
  - optiinfra.cost_agent.kubernetes
seealso:
  - module: optiinfra.cost_agent.agent_info
  - module: optiinfra.cost_agent.agent_logs_info
author:
  - OptiInfra maintainers (@optiinfra)
"""

EXAMPLES = r"""
- name: Restart the agent when it is not healthy, and keep what was wrong
  block:
    - name: Check the health
      ansible.builtin.import_role:
        name: optiinfra.cost_agent.health
  rescue:
    - name: Save the evidence
      optiinfra.cost_agent.agent_evidence:
        save_to: s3://operations/incidents
        known:
          failure: "{{ ansible_failed_result }}"

    - name: Restart the agent
      optiinfra.cost_agent.agent:
        state: restarted
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode.
  returned: always
  type: list
  elements: str
state:
  description: Where it is.
  returned: always
  type: dict
  contains:
    location:
      description: Address of the document. Also in the job's stats, as C(cost_agent_evidence).
      type: str
      sample: s3://operations/incidents/evidence/cost-agent/20250123T100000.250000Z-5f0c2ab1.json
    missing:
      description: What could not be seen, and why.
      type: dict
      sample: {}
summary:
  description: The result in one line.
  returned: success
  type: str
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
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.agent_evidence import (
    AGENT_EVIDENCE as OPERATION,
)


def main() -> None:
    run_module(OPERATION)


if __name__ == "__main__":
    main()
