# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Weighs the agent's connection pools against what its database allows, and what its load needs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: connection_pool_info
short_description: Weigh the agent's connection pools against the database's limits
version_added: 0.1.0
description:
  - Adds up the connection budget. Every worker's pool full at the most replicas that there may be,
    and what everybody else uses at peak, against C(max_connections) less its reserved ones, the
    limits of role and database, and a PgBouncer in between.
  - Tells the pools of all replicas as deployed and as running, who is connected to the server in
    which state and for how long, and how long requests wait for a connection.
  - Advises the pool that the measured load needs, with its arithmetic; but says what is missing
    rather than advise on too few samples. 1000 connections given back and 60 s are the least.
  - Changes nothing but its own record of the peak, one small entry a day in the state store.
options:
  replicas:
    description:
      - A count of replicas that is about to be asked for, to be taken for the ceiling where no
        autoscaler allows more.
      - Without it, the maximum of the agent's autoscaler, else the count that was asked for last.
    type: int
  max_replicas:
    description: The maximum that an autoscaler is about to be given, to be taken for the ceiling.
    type: int
  environment:
    description:
      - The plain variables that the replicas are about to be given, as
        O(optiinfra.cost_agent.agent#module:environment).
      - Without it, those that they were given last.
    type: dict
  environment_secrets:
    description: The secret variables that they are about to be given, likewise.
    type: dict
  window_s:
    description:
      - Measure the load for so many seconds from now on. Do that at the busiest time.
      - With V(0), it is that since each worker started.
    type: float
    default: 0
  cores:
    description: Cores of the database's machine, for the check against its ceiling.
    type: int
  spindles:
    description:
      - Disks of the database's machine that work at the same time, 0 where all data is in memory.
    type: int
    default: 1
  head_room_percent:
    description: How much more than needed is advised, as overflow.
    type: float
    default: 20
  require_within_budget:
    description:
      - Fail with C(reason=budget) when the budget is overdrawn, unless what is weighed asks for less
        than the agent may have already.
      - Then the load of the pools is not measured and nothing advised, since others wait for it, and
        a budget that holds shows no tables.
    type: bool
    default: false
  allow_over_budget:
    description:
      - Let O(require_within_budget) pass when it is overdrawn, and record that in the state store
        under C(history/over_budget) with the time, who asked and the figures.
    type: bool
    default: false
  purpose:
    description: What the budget is required for, to go on after "Failed to" and into that record.
    type: str
  requested_by:
    description: Who asks, for that record; without it, the user and machine that this runs as.
    type: str
  server_only:
    description:
      - Look at O(database) and O(pgbouncer) alone, on a machine that reaches them, for a run on the
        agent's host that is given this as O(measured).
    type: bool
    default: false
extends_documentation_fragment:
  - optiinfra.cost_agent.attributes
  - optiinfra.cost_agent.platform
  - optiinfra.cost_agent.docker
  - optiinfra.cost_agent.kubernetes
  - optiinfra.cost_agent.tuning
seealso:
  - module: optiinfra.cost_agent.connection_pool
author:
  - OptiInfra maintainers (@optiinfra)
"""

EXAMPLES = r"""
- name: See what the pools may take and what they need
  optiinfra.cost_agent.connection_pool_info:
    cores: 8
    window_s: 120

- name: Ask the database from the controller
  optiinfra.cost_agent.connection_pool_info:
    server_only: true
    database:
      host: db.example.com
      user: cost_agent
      password: "{{ vault_database_password }}"
  delegate_to: localhost
  register: database_seen

- name: Weigh the pools on the agent's host
  optiinfra.cost_agent.connection_pool_info:
    measured: "{{ database_seen.state }}"

- name: Refuse eight replicas where the database cannot have them
  optiinfra.cost_agent.connection_pool_info:
    replicas: 8
    require_within_budget: true
    purpose: scale to 8 replicas
"""

RETURN = r"""
state:
  description: What was seen.
  returned: always
  type: dict
  contains:
    ceiling:
      description: The most replicas that there may be, and C(source), who says so.
      type: dict
      sample: {"replicas": 10, "source": "its autoscaler's max"}
    deployed:
      description: The pool in the environment that replicas are started with.
      type: dict
      sample: {"size": 20, "max_overflow": 10, "timeout_s": 30.0}
    weighed:
      description: The pool that the budget is about, the one in O(environment) where that is given.
      type: dict
    replicas:
      description: Each replica's pool as it runs; null where the replica does not tell.
      type: list
      elements: dict
      contains:
        name:
          description: Its name.
          type: str
        status:
          description: As of M(optiinfra.cost_agent.agent_info).
          type: str
        running:
          description: The pool that it was started with.
          type: dict
        in_use:
          description: Connections in use, of the worker that answered.
          type: int
        idle:
          description: Connections that are open and not in use.
          type: int
        outside_pool:
          description: Connections that a worker keeps beside its pool.
          type: int
        health:
          description: What it says of itself.
          type: str
        note:
          description: Why something is not known.
          type: str
    server:
      description:
        - C(address), C(version), and the limits C(max_connections), C(superuser_reserved),
          C(reserved), C(available), C(role) and C(role_limit), C(database) and C(database_limit);
          null for no limit.
      type: dict
    application_name:
      description: How the agent's sessions are called.
      type: str
    pgbouncer:
      description: Mode and limits of its pool for the agent; null without O(pgbouncer).
      type: dict
    others:
      description:
        - Everybody else's connections at peak to the server, of the agent's role and to its
          database; C(seen) says in words what that is the peak of.
      type: dict
      sample: {"server": 14, "role": 2, "database": 3, "seen": "peak of 5 days"}
    agent_sessions:
      description: The agent's sessions now.
      type: int
    sessions:
      description:
        - Sessions in groups by application, role, database and state, with C(count), C(oldest_s) in
          that state, C(oldest_transaction_s), and C(is_agent).
      type: list
      elements: dict
    budget:
      description:
        - C(verdict), V(within) or V(over). C(checks), each limit with what the agent and others ask
          of it. C(fit), what would fit instead. C(largest_pool), null where not one connection
          fits.
      type: dict
    basis:
      description:
        - A fingerprint of the environment and of the ceiling as they are. M(optiinfra.cost_agent.agent)
          takes it as O(optiinfra.cost_agent.agent#module:budget_basis).
      type: str
    workloads:
      description: What was measured of each pool; times in seconds, C(load) in connections.
      type: list
      elements: dict
    advice:
      description:
        - C(pool) to set, null where too little was measured, C(needed) without head room,
          C(steps) with the arithmetic, C(missing) and C(warnings).
      type: dict
    notes:
      description: What else there is to know, in sentences.
      type: list
      elements: str
actions:
  description: That it was recorded to go over the budget.
  returned: success
  type: list
  elements: str
tables:
  description: The budget, the sessions, the pools, and advice.
  returned: always
  type: list
  elements: dict
summary:
  description: The result in one line.
  returned: always
  type: str
  sample: "pool 20 + 10; 300 + 14 others of 97 available: over by 217"
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
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.tuning.connection_pool_info import (
    CONNECTION_POOL_INFO as OPERATION,
)


def main() -> None:
    run_module(OPERATION)


if __name__ == "__main__":
    main()
