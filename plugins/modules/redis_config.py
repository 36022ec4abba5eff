# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation and entry point of module redis_config."""

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_config
short_description: Change settings of Redis, with foresight
version_added: 0.1.0
author:
  - OptiInfra maintainers (@optiinfra)
description:
  - Brings any number of settings to their values, on the server, its replicas and all nodes of its
    cluster, or on none of them. Replicas are changed before their primaries.
  - A value equals what Redis means by it. C(2gb) is C(2147483648), C(5m) is C(300) where the setting
    counts seconds, and the order of the pairs in C(save) means nothing.
  - Before it lowers C(maxmemory) or changes its policy it measures, by a bounded number of keys that
    are drawn at random, how many would be evicted at once.
  - A setting that cannot be changed while Redis runs is reported in RV(state.restart_required) and
    is no change.
extends_documentation_fragment:
  - optiinfra.cost_agent.redis
  - optiinfra.cost_agent.attributes
options:
  settings:
    description:
      - Names and values as in C(redis.conf). Lists may be YAML lists, as V([900 1, 300 10]) for
        C(save); a list without elements is the empty value.
      - An empty text is the value of settings that may be empty (C(save),
        C(notify-keyspace-events), names and files), and means unset for all others.
      - Secrets such as C(requirepass) are refused, since settings are shown.
    type: dict
    required: true
  persist:
    description:
      - Whether the server writes its configuration file by C(CONFIG REWRITE) after a change.
      - Where it cannot, RV(state.nodes) says why, and the change holds until a restart.
    type: bool
    default: true
  allow_eviction:
    description: Whether keys may be evicted, or writes refused, as soon as the change is made.
    type: bool
    default: false
  allow_unlimited:
    description:
      - Whether C(maxmemory) may be V(0), which is no limit, or more than the machine has.
    type: bool
    default: false
  memory_limit:
    description:
      - The memory of the machine or container of each server, as C(4gb).
      - When left out, what the server sees, and its control group's limit where it runs on the
        machine of this module. Inside of a container elsewhere it sees the host's memory, so give
        the container's limit.
    type: str
"""

EXAMPLES = r"""
- name: The guide's settings
  optiinfra.cost_agent.redis_config:
    host: redis.example.com
    password_file: /etc/cost-agent/redis-password
    settings:
      maxmemory: 2gb
      maxmemory-policy: allkeys-lru

- name: See what a smaller limit would evict
  optiinfra.cost_agent.redis_config:
    settings:
      maxmemory: 512mb
    allow_eviction: true
  check_mode: true

- name: Change the primary that sentinels name, and its replicas
  optiinfra.cost_agent.redis_config:
    sentinel:
      hosts: [sentinel-1.example.com, sentinel-2.example.com]
      service: cost-agent
    tls: true
    ca_file: /etc/ssl/private-ca.pem
    username: operator
    password: "{{ redis_password }}"
    settings:
      save: []
      timeout: 5m
      client-output-buffer-limit: replica 512mb 128mb 60
"""

RETURN = r"""
state:
  description: The settings of every server, before and after.
  returned: always
  type: dict
  contains:
    nodes:
      description:
        - Per server its C(address), C(role) (V(primary) or V(replica)), C(version), C(settings)
          with C(before) and C(after), C(restart_required) with C(name), C(now) and C(wanted),
          C(persisted), C(not_persisted_because) and C(foresight).
        - C(persisted) is null where nothing changed or O(persist) is false. C(foresight) is null
          unless C(maxmemory) or its policy changes.
      type: list
      elements: dict
    restart_required:
      description: The settings that are not as wanted and take effect only by a restart.
      type: list
      elements: str
  sample:
    nodes:
      - address: 127.0.0.1:6379
        role: primary
        version: 8.2.3
        settings:
          maxmemory: {before: "0", after: "2147483648"}
        restart_required: []
        persisted: true
        not_persisted_because: null
        foresight:
          keys: 12000
          keys_without_expiry: 40
          used_bytes: 104857600
          over_bytes: 0
          evicted_bytes: 0
          evicted_keys: 0
          refuses_writes: false
          endangered_keys: 40
          maxmemory: 2147483648
          replication_bytes: 0
          fork_bytes: 536870912
          machine_bytes: 8589934592
          needed_bytes: 2684354560
          largest_fitting_bytes: 6871947673
    restart_required: []
actions:
  description: What was done, or would be done in check mode.
  returned: always
  type: list
  elements: str
  sample: [Set maxmemory to 2.00 GiB on 127.0.0.1:6379]
summary:
  description: One line for a person.
  returned: success
  type: str
  sample: 1 of 2 settings on 127.0.0.1:6379
tables:
  description: What changes and what that does, as text.
  returned: success
  type: list
  elements: dict
duration:
  description: Seconds that it took.
  returned: always
  type: float
reason:
  description:
    - Why it failed, a word from the collection's closed list.
    - V(invalid_input) for what Redis does not take, V(precondition) for keys that would be evicted
      at once or a server without CONFIG, V(budget) for more memory than there is, V(auth) for a
      password or a right that is missing, V(failed_state) for a server that was restarted meanwhile.
  returned: failure
  type: str
"""

from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.module_runner import (
    run_module,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.redis.redis_config import (
    REDIS_CONFIG as OPERATION,
)


def main() -> None:
    run_module(OPERATION)


if __name__ == "__main__":
    main()
