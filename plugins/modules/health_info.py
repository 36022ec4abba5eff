# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation and entry point of module health_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: health_info
short_description: Measure the health of an agent and judge it
version_added: 0.1.0
author:
  - OptiInfra maintainers (@optiinfra)
description:
  - Probes any number of replicas, servers and dependencies at the same time, several times each,
    and judges the operations guide's five key health indicators by their p95.
  - The API is timed at the basic endpoint, from the request to the last byte of the answer, on a
    connection that is kept alive. Database and cache latencies are what the detailed endpoint
    reports, read once a sample; where it does not report them, they are probed directly if
    O(database) and O(cache) are given.
  - The verdict is V(healthy), V(degraded), V(down) or V(unknown). Unknown means that the observer
    could not see (no DNS, no route, a wrong certificate, missing rights, an unreadable answer), and
    is never taken for down. With several replicas, all down is down, any known fault is
    degraded, and otherwise any unknown is unknown.
  - Reports of the guide's agent, the usual status words, maps of dependencies and
    C(application/health+json) are understood. Redirects are not followed.
  - Each target is given O(timeout_s), and all of them together at most one second more.
extends_documentation_fragment:
  - optiinfra.cost_agent.replicas
  - optiinfra.cost_agent.kubernetes
  - optiinfra.cost_agent.attributes
options:
  basic_path:
    description: Path of the basic health endpoint.
    type: str
    default: /api/v1/health
  detailed_path:
    description: Path of the detailed health endpoint; it may be absent (404).
    type: str
    default: /api/v1/health/detailed
  database:
    description:
      - A PostgreSQL server to probe directly with C(SELECT 1). Needs psycopg2.
      - Stands in where a replica does not report its database. Next to a report it counts only
        when it is known to be bad.
    type: dict
    suboptions:
      host:
        description: Name or address of the server, or the folder of its Unix socket.
        type: str
        required: true
      port:
        description: Port of the server.
        type: int
        default: 5432
      name:
        description: Name of the database.
        type: str
        default: cost_agent
      user:
        description: User to log in as; libpq's default when left out.
        type: str
      password:
        description: Password of the user; libpq's own sources when left out.
        type: str
      sslmode:
        description: How to use TLS, as libpq defines it.
        type: str
        choices: [disable, allow, prefer, require, verify-ca, verify-full]
        default: prefer
      ca_file:
        description: Certificates of the issuers to trust.
        type: path
  cache:
    description:
      - A Redis server to probe directly with C(PING). Needs redis.
      - Counts like O(database).
    type: dict
    suboptions:
      host:
        description: Name or address of the server.
        type: str
        required: true
      port:
        description: Port of the server.
        type: int
        default: 6379
      username:
        description: User to log in as.
        type: str
      password:
        description: Password to log in with.
        type: str
      tls:
        description: Whether the server speaks TLS.
        type: bool
        default: false
      ca_file:
        description: Certificates of the issuers to trust.
        type: path
  dependencies:
    description:
      - Further servers that the agent needs, by O(dependencies[].url), or by
        O(dependencies[].host) and O(dependencies[].port). An answer with a good HTTP status, or an
        accepted connection, is healthy.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the dependency.
        type: str
        required: true
      url:
        description: Address to GET.
        type: str
      host:
        description: Name or address to connect to.
        type: str
      port:
        description: Port to connect to.
        type: int
      critical:
        description:
          - Whether the agent is down without it. Otherwise a fault in it degrades the agent, and
            not being able to see it does not count.
        type: bool
        default: false
  samples:
    description: Samples of each target.
    type: int
    default: 5
  interval_s:
    description: Seconds between the samples of a target.
    type: float
    default: 0.0
  timeout_s:
    description: Seconds that the requests to one target may take together.
    type: float
    default: 5.0
  thresholds:
    description: Limits that the p95 of a healthy agent stays below; the guide's by default.
    type: dict
    suboptions:
      api_ms:
        description: Latency of the basic endpoint.
        type: float
        default: 100.0
      database_ms:
        description: Latency of the database.
        type: float
        default: 50.0
      cache_ms:
        description: Latency of the cache.
        type: float
        default: 10.0
      memory_percent:
        description: Memory in percent of its limit.
        type: float
        default: 80.0
      cpu_percent:
        description:
          - CPU in percent of one core; the average since the history's last reading of the same
            process when that is 5 s to 15 min old, and since its start otherwise.
        type: float
        default: 70.0
  require:
    description:
      - The worst verdict to accept; a worse one, or V(unknown), is a failure. Without it the
        verdict is only reported.
    type: str
    choices: [healthy, degraded]
  wait_s:
    description: Seconds to go on probing until O(require) is met.
    type: float
    default: 0.0
  soak_s:
    description:
      - Seconds for which O(require), once it is met, must hold. A replica that is down is a failure
        at once; what is merely slow, or cannot be seen, when two looks in a row find it so.
      - Does nothing without O(require).
    type: float
    default: 0.0
  state_store:
    description:
      - Where the samples are kept, C(file:///folder) or C(s3://bucket/prefix). Without it there is
        no history.
      - Credentials and endpoint of S3 come from the environment (E(AWS_ACCESS_KEY_ID),
        E(AWS_PROFILE), E(AWS_ENDPOINT_URL), ...), C(~/.aws) or a role.
    type: str
  history_keep_days:
    description: Days to keep samples for.
    type: int
    default: 30
  textfile:
    description: File to write the figures to, for Prometheus's node_exporter.
    type: path
requirements:
  - pycurl, for O(targets) and O(dependencies)
  - psycopg2, for O(database)
  - redis, for O(cache)
  - boto3 >= 1.36, for an O(state_store) in S3
"""

EXAMPLES = r"""
- name: Report the health of the local agent
  optiinfra.cost_agent.health_info:
    targets:
      - url: http://localhost:8001

- name: Look at the agent
  optiinfra.cost_agent.agent_info:
  register: agent_seen

- name: Wait up to a minute for the agent to be healthy after a deploy
  optiinfra.cost_agent.health_info:
    targets: "{{ agent_seen.state.targets }}"
    require: healthy
    wait_s: 60

- name: Wait for the agent to be healthy, and see that it still is after half an hour
  optiinfra.cost_agent.health_info:
    targets: "{{ agent_seen.state.targets }}"
    require: healthy
    wait_s: 60
    soak_s: 1800

- name: Probe over TLS with a client certificate, and the servers behind the agent directly
  optiinfra.cost_agent.health_info:
    targets:
      - name: cost-agent-1
        url: https://10.0.0.11:8443
    ca_file: /etc/ssl/private-ca.pem
    client_cert: /etc/cost-agent/observer.pem
    client_key: /etc/cost-agent/observer.key
    database:
      host: db.example.com
      user: observer
      password: "{{ observer_password }}"
      sslmode: verify-full
      ca_file: /etc/ssl/private-ca.pem
    cache:
      host: redis.example.com
      password: "{{ redis_password }}"
    dependencies:
      - name: pricing
        url: https://pricing.example.com/health
      - name: identity
        host: identity.example.com
        port: 636
        critical: true
    state_store: file:///var/lib/cost-agent/state
    textfile: /var/lib/node_exporter/cost_agent_health.prom
"""

RETURN = r"""
state:
  description: What was seen and what it means.
  returned: always
  type: dict
  contains:
    verdict:
      description: V(healthy), V(degraded), V(down) or V(unknown).
      type: str
    reasons:
      description: Why it is not healthy, worst first, each with what to do next.
      type: list
      elements: str
    notes:
      description: What was measured otherwise than asked, or not measured.
      type: list
      elements: str
    indicators:
      description:
        - By indicator (C(api), C(database), C(cache), C(memory), C(cpu)) its C(limit), C(unit),
          C(p50), C(p95), C(verdict), what is C(said) of it, the C(reason) of an error, and its
          C(source).
          The figures are nearest-rank percentiles over the samples of all replicas. An indicator
          that was not measured has no verdict.
      type: dict
    replicas:
      description:
        - Per target C(name), C(url), C(verdict), C(reasons), C(reason), C(indicators),
          C(samples) asked and answered, C(connect_ms) and C(release).
      type: list
      elements: dict
    dependencies:
      description:
        - Per dependency C(name), C(address), C(verdict), C(said), C(reason), C(p50) and C(p95).
      type: list
      elements: dict
    direct:
      description: What the direct probes of C(database) and C(cache) found, as in C(indicators).
      type: dict
    samples:
      description: Samples asked of each target.
      type: int
    sampled:
      description: Samples answered, of all targets.
      type: int
  sample:
    verdict: healthy
    reasons: []
actions:
  description: Empty; nothing is changed.
  returned: always
  type: list
  elements: str
summary:
  description: One line for a person.
  returned: always
  type: str
  sample: 3 of 3 healthy
tables:
  description: The indicators, the replicas that are not healthy, and the dependencies, as text.
  returned: always
  type: list
  elements: dict
duration:
  description: Seconds that it took.
  returned: always
  type: float
reason:
  description:
    - Why it failed. With O(require), V(failed_state) for a known fault, V(unreachable) for unknown,
      and V(timeout) after O(wait_s). During O(soak_s) one of the first two.
  returned: failure
  type: str
"""

from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.module_runner import (
    run_module,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.health.health_info import (
    HEALTH_INFO as OPERATION,
)


def main() -> None:
    run_module(OPERATION)


if __name__ == "__main__":
    main()
