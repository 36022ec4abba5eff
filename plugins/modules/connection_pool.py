# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets the agent's connection pool, within what its database allows."""

from __future__ import annotations

DOCUMENTATION = r"""
module: connection_pool
short_description: Set the agent's connection pool within the database's limits
version_added: 0.1.0
description:
  - Sets C(DB_POOL_SIZE), C(DB_MAX_OVERFLOW) and C(DB_POOL_TIMEOUT) in the agent's environment, as
    M(optiinfra.cost_agent.agent) does, so that replicas are replaced one at a time.
  - Refuses what is over the connection budget, and names the largest pool that fits.
  - Proves by asking every replica that it runs with the pool. One that tells nothing of its pool is
    taken at the environment that it was started with.
  - Where replicas do not become ready, run with another pool, or are less healthy than before, the
    environment before is put back in the same way, and the run fails.
  - Refuses where the variables are kept somewhere else, on Kubernetes in a C(env) entry, a
    ConfigMap or Secret of the user's, or with an owner such as Helm or Argo CD, naming the place.
options:
  pool_size:
    description: Connections that each worker keeps.
    type: int
    default: 20
  max_overflow:
    description:
      - Connections that it opens beyond these, and closes again.
      - V(-1) is without bound, which no budget has room for.
    type: int
    default: 10
  pool_timeout_s:
    description: Seconds that a request waits for a connection.
    type: float
    default: 30
  allow_over_budget:
    description:
      - Set it although it is over the budget, and record that in the state store under
        C(history/over_budget) with the time, who asked and the figures.
    type: bool
    default: false
  requested_by:
    description: Who asks, for that record; without it, the user and machine that this runs as.
    type: str
  memory_limit_mb:
    description: As O(optiinfra.cost_agent.agent#module:memory_limit_mb).
    type: int
  cpu_limit_cores:
    description: As O(optiinfra.cost_agent.agent#module:cpu_limit_cores).
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
      - Seconds that replacing the replicas may take. Taking it back may take as long again.
    type: float
    default: 60
  stable_s:
    description: Seconds that a started replica must stay ready before it counts.
    type: float
    default: 0.5
extends_documentation_fragment:
  - optiinfra.cost_agent.attributes
  - optiinfra.cost_agent.platform
  - optiinfra.cost_agent.docker
  - optiinfra.cost_agent.kubernetes
  - optiinfra.cost_agent.platform.listening
  - optiinfra.cost_agent.tuning
seealso:
  - module: optiinfra.cost_agent.connection_pool_info
  - module: optiinfra.cost_agent.agent
notes:
  - What O(optiinfra.cost_agent.agent#module:environment) says later replaces all variables.
    Keep the pool there too.
author:
  - OptiInfra maintainers (@optiinfra)
"""

EXAMPLES = r"""
- name: Give each worker 8 connections and 2 more for bursts
  optiinfra.cost_agent.connection_pool:
    pool_size: 8
    max_overflow: 2

- name: Behind a PgBouncer
  optiinfra.cost_agent.connection_pool:
    pool_size: 20
    max_overflow: 10
    database:
      host: db.example.com
      user: monitor
      password: "{{ vault_monitor_password }}"
    pgbouncer:
      host: pool.example.com
      port: 6432
      user: stats
      password: "{{ vault_stats_password }}"
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode.
  returned: always
  type: list
  elements: str
  sample: ["Wrote the environment", "Stopped cost-agent-8001 in 0.6 s"]
state:
  description: What was seen last.
  returned: always
  type: dict
  contains:
    pool:
      description: The pool that was asked for.
      type: dict
      sample: {"size": 8, "max_overflow": 2, "timeout_s": 30.0}
    before:
      description: The pool in the environment before.
      type: dict
    replicas:
      description: As RV(optiinfra.cost_agent.connection_pool_info#module:state.replicas).
      type: list
      elements: dict
    proof:
      description: V(running) where all replicas told their pools, else V(deployed).
      type: str
    budget:
      description: As RV(optiinfra.cost_agent.connection_pool_info#module:state.budget).
      type: dict
    agent:
      description: As RV(optiinfra.cost_agent.agent#module:state).
      type: dict
tables:
  description: The budget.
  returned: success or over budget
  type: list
  elements: dict
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
log_tail:
  description: The last lines of a replica that failed or did not become ready, redacted.
  returned: when a replica failed
  type: list
  elements: str
"""

from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.module_runner import (
    run_module,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.tuning.connection_pool import (
    CONNECTION_POOL as OPERATION,
)


def main() -> None:
    run_module(OPERATION)


if __name__ == "__main__":
    main()
