# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells whether an agent could be deployed on a machine."""

from __future__ import annotations

DOCUMENTATION = r"""
module: preflight_info
short_description: Tell whether the agent could be deployed on this machine
version_added: 0.1.0
description:
  - Looks at everything that a deploy needs, changes nothing, and fails with all that is missing
    at once.
  - The Python version, C(/proc), the agent's home, free disk space, the replicas' ports, which
    may be held by this agent's own replicas, and the release's source.
options:
  source:
    description: Path on the managed host of the release to be deployed, as for the release module.
    type: path
  disk_mb:
    description: How much free disk space the home needs, in MiB.
    type: int
    default: 500
extends_documentation_fragment:
  - optiinfra.cost_agent.attributes
  - optiinfra.cost_agent.platform
  - optiinfra.cost_agent.docker
  - optiinfra.cost_agent.kubernetes
  - optiinfra.cost_agent.platform.listening
  - optiinfra.cost_agent.platform.serving
seealso:
  - module: optiinfra.cost_agent.agent_release
author:
  - OptiInfra maintainers (@optiinfra)
"""

EXAMPLES = r"""
- name: Make sure that the release can be deployed here
  optiinfra.cost_agent.preflight_info:
    replicas: 3
    source: /srv/releases/cost-agent-1.4.2
"""

RETURN = r"""
state:
  description: What was looked at.
  returned: always
  type: dict
  contains:
    checks:
      description: Each check, whether it passed, and what was seen.
      type: list
      elements: dict
      sample: [{"name": "ports", "ok": true, "seen": "port range 8001-8003 free"}]
summary:
  description: The result in one line.
  returned: success
  type: str
  sample: python 3.11, port range 8001-8003 free
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
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.preflight_info import (
    PREFLIGHT_INFO as OPERATION,
)


def main() -> None:
    run_module(OPERATION)


if __name__ == "__main__":
    main()
