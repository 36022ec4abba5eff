# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the modules that weigh a connection budget; mirrors tuning/observation.py."""

from __future__ import annotations


class ModuleDocFragment:
    """Where the agent's connections go, and how they are looked at."""

    DOCUMENTATION = r"""
options:
  database:
    description:
      - The PostgreSQL server to look at.
      - Without it, the one in the agent's own environment, C(DATABASE_URL) or C(PGHOST) and the
        variables like it, with C(DATABASE_PASSWORD_FILE).
    type: dict
    suboptions:
      name:
        description: The agent's database; without it the one in its environment, else C(cost_agent).
        type: str
      user:
        description:
          - The role to look as. Without the privileges of C(pg_read_all_stats) it sees how many
            sessions there are, but not their states.
          - Taken for the agent's role where its environment names none.
        type: str
      host:
        description: Its host name, address or socket folder.
        type: str
        required: true
      port:
        description: Its port.
        type: int
      password:
        description: Its password.
        type: str
      password_file:
        description: A file that holds the password alone, read where the module runs.
        type: path
      sslmode:
        description: How the connection is encrypted and the server verified, as libpq has it.
        type: str
        choices: [disable, allow, prefer, require, verify-ca, verify-full]
      ca_file:
        description: The certificate authorities to trust.
        type: path
  pgbouncer:
    description:
      - The admin console of the PgBouncer that the agent connects through, to read its pool mode
        and limits. Without it, the agent is taken to connect to the server itself.
      - O(database) is the server behind it then.
    type: dict
    suboptions:
      database:
        description: What it calls the agent's database; without it, as the server does.
        type: str
      user:
        description: One of its C(stats_users) or C(admin_users).
        type: str
      host:
        description: Its host name, address or socket folder.
        type: str
        required: true
      port:
        description: Its port.
        type: int
      password:
        description: Its password.
        type: str
      password_file:
        description: A file that holds the password alone, read where the module runs.
        type: path
      sslmode:
        description: How the connection is encrypted and the server verified, as libpq has it.
        type: str
        choices: [disable, allow, prefer, require, verify-ca, verify-full]
      ca_file:
        description: The certificate authorities to trust.
        type: path
  measured:
    description:
      - What a run of M(optiinfra.cost_agent.connection_pool_info) with C(server_only) saw, its
        RV(optiinfra.cost_agent.connection_pool_info#module:state), so that nothing connects to the
        database from here. A managed host then needs no psycopg2.
    type: dict
  application_name:
    description:
      - How the agent's sessions are called in C(pg_stat_activity). One that goes on after a space,
        such as C(cost-agent 1.4.2), is the agent's too. All others are everybody else's.
      - Without it, O(name).
    type: str
  workers:
    description: Processes of each replica that serve requests. Each has a pool of its own.
    type: int
    default: 1
  hosts:
    description: How many hosts run the agent like this one, against the same database.
    type: int
    default: 1
  outside_pool:
    description:
      - Connections that each worker keeps beside its pool.
      - Without it, what replicas tell as C(pool.outside) in their detailed health, else 0.
    type: int
  others_at_peak:
    description:
      - How many connections everybody else has at peak, where that is known better than by looking.
      - Without it, the most of O(looks) and of what the looks of the last 7 days saw.
    type: int
  looks:
    description: How often the sessions are looked at.
    type: int
    default: 3
  interval_s:
    description: Seconds between these looks.
    type: float
    default: 0.05
  detailed_path:
    description:
      - Where replicas tell their pool, as C(pool) with C(size), C(max_overflow), C(timeout_s),
        C(in_use), C(idle) and C(outside).
    type: str
    default: /api/v1/health/detailed
  metrics_path:
    description: Where replicas tell their metrics, in the text format of Prometheus.
    type: str
    default: /metrics
  metrics_prefix:
    description:
      - What the names of the pool's metrics begin with. C(_held_seconds) and C(_wait_seconds) are
        histograms, C(_timeouts_total) counts.
    type: str
    default: cost_agent_pool
  probe_timeout_s:
    description: Seconds that a replica may take for each answer.
    type: float
    default: 5
requirements:
  - psycopg2
"""
