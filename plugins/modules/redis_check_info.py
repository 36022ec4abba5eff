# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation and entry point of module redis_check_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_check_info
short_description: Check Redis against thresholds
version_added: 0.1.0
author:
  - OptiInfra maintainers (@optiinfra)
description:
  - Looks at the server, its replicas and all nodes of its cluster, and judges memory,
    fragmentation, evictions, hit ratio, clients, persistence, replication, slow log, latency and
    what Redis's own doctors say.
  - A finding is V(ok), V(warn), V(critical) or V(unknown). Unknown is what this user may not see.
    What the server does not measure, such as latency events without a threshold, has no verdict.
  - Bad findings are reported and are no failure. Nothing is changed, and no command is used that
    takes longer the more keys there are.
extends_documentation_fragment:
  - optiinfra.cost_agent.redis
  - optiinfra.cost_agent.attributes
options:
  window_s:
    description:
      - Seconds between two looks, over which evictions, hits and rejected clients are counted. It
        is added to O(timeout_s).
      - V(0) takes the server's own counts, since its start or its last C(CONFIG RESETSTAT).
    type: float
    default: 0.0
  samples:
    description: How many times C(PING) is timed, over one connection.
    type: int
    default: 20
  thresholds:
    description: Limits of the checks; what is beyond one of them is at least V(warn).
    type: dict
    suboptions:
      memory_percent:
        description:
          - Used memory in percent of C(maxmemory), where the policy is not C(allkeys-*); a cache
            that may evict everything is full by design. Without C(maxmemory) it is always V(warn).
        type: float
        default: 90.0
      fragmentation_ratio:
        description: Resident by used memory, when O(thresholds.fragmentation_mb) is passed as well.
        type: float
        default: 1.4
      fragmentation_mb:
        description: Megabytes that fragmentation may waste, whatever the ratio.
        type: float
        default: 10.0
      evictions:
        description: Keys that were evicted.
        type: float
        default: 0.0
      hit_percent:
        description: The lowest share of lookups that find their key, of 100 lookups or more.
        type: float
        default: 80.0
      rejected_connections:
        description:
          - Clients that were turned away since there were C(maxclients); V(critical) if that was
            within O(window_s).
        type: float
        default: 0.0
      clients_percent:
        description: Clients in percent of C(maxclients).
        type: float
        default: 90.0
      snapshot_age_h:
        description: Hours since the last snapshot, where C(save) is set and something has changed.
        type: float
        default: 24.0
      replication_lag_s:
        description: Seconds since a replica and its primary heard of each other.
        type: float
        default: 10.0
      slow_commands:
        description: Entries of the slow log in the last hour.
        type: float
        default: 0.0
      latency_ms:
        description:
          - The p95 of the answers to C(PING), and of the time that all commands took on the server
            since its start (Redis 7.0); the guide's limit by default.
        type: float
        default: 10.0
"""

EXAMPLES = r"""
- name: Check the cache, counting for ten seconds
  optiinfra.cost_agent.redis_check_info:
    host: redis.example.com
    password_file: /etc/cost-agent/redis-password
    window_s: 10
  register: cache

- name: Fail on what is critical
  ansible.builtin.fail:
    msg: "{{ cache.summary }}"
  when: cache.state.verdict == 'critical'
"""

RETURN = r"""
state:
  description: What was seen and what it means.
  returned: always
  type: dict
  contains:
    verdict:
      description: The worst finding of all servers.
      type: str
      sample: warn
    nodes:
      description:
        - Per server its C(address), C(role), C(version), C(verdict), C(findings), C(used_bytes),
          C(maxmemory), C(policy), C(counted) with C(counted_over_s) (null is since start or
          reset), C(latency_p95_ms) and C(uptime_s).
        - A finding has C(check), C(verdict), what is C(said) of it, and the C(next_step).
      type: list
      elements: dict
actions:
  description: Empty; nothing is changed.
  returned: always
  type: list
  elements: str
summary:
  description: One line for a person.
  returned: success
  type: str
  sample: "127.0.0.1:6379: warn: memory"
tables:
  description: The findings, as text; of several servers, those that are not ok.
  returned: success
  type: list
  elements: dict
duration:
  description: Seconds that it took.
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
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.redis.redis_check_info import (
    REDIS_CHECK_INFO as OPERATION,
)


def main() -> None:
    run_module(OPERATION)


if __name__ == "__main__":
    main()
