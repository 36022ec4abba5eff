# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares a PostgreSQL server's settings with its machine."""

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_settings_info
short_description: Compare a PostgreSQL server's settings with its machine
version_added: 0.1.0
description:
  - Compares C(shared_buffers), C(effective_cache_size), C(work_mem) with all connections, and
    autovacuum on the largest tables with published rules, and tells the arithmetic and the source
    of each.
  - Changes nothing. What it advises is where to start from, to be proved by a measurement.
options:
  database:
    description: The database whose tables are looked at.
    type: str
    default: cost_agent
  memory_mb:
    description:
      - Memory of the server's machine, or the limit of its container, in MiB. SQL cannot tell it.
      - Without it, nothing is advised on memory.
    type: int
  tables:
    description: How many of the largest tables are looked at.
    type: int
    default: 10
extends_documentation_fragment:
  - optiinfra.cost_agent.attributes
  - optiinfra.cost_agent.postgres
seealso:
  - module: optiinfra.cost_agent.connection_pool_info
author:
  - OptiInfra maintainers (@optiinfra)
"""

EXAMPLES = r"""
- name: Compare the settings with a machine of 16 GiB
  optiinfra.cost_agent.postgres_settings_info:
    host: db.example.com
    memory_mb: 16384
"""

RETURN = r"""
state:
  description: What was seen.
  returned: success
  type: dict
  contains:
    address:
      description: Where the server is.
      type: str
    settings:
      description: What it runs with; memory in bytes.
      type: dict
    advice:
      description:
        - For each setting C(setting), C(now), C(advised) (null where it is fine or not known),
          C(verdict) (V(ok), V(change) or V(unknown)), C(arithmetic), C(source) and
          C(restart_required).
      type: list
      elements: dict
    tables:
      description: The largest tables, with rows as the last ANALYZE estimated them.
      type: list
      elements: dict
tables:
  description: The advice, and why.
  returned: success
  type: list
  elements: dict
summary:
  description: The result in one line.
  returned: success
  type: str
  sample: "to look at: shared_buffers, work_mem"
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
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.tuning.postgres_settings_info import (
    POSTGRES_SETTINGS_INFO as OPERATION,
)


def main() -> None:
    run_module(OPERATION)


if __name__ == "__main__":
    main()
