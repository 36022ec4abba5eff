# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation and entry point of module load_test."""

from __future__ import annotations

DOCUMENTATION = r"""
module: load_test
short_description: Measure an agent under a bounded load, before and after a change
version_added: 0.1.0
description:
  - Sends GET requests to the agent's own endpoint at a constant rate, and tells how many were
    answered and how late. With the figures of an earlier load it tells what has changed since, and
    writes a report with a chart.
  - Requests are due at that rate whatever the answers do, and a latency runs from when its request
    was due. So a stall of the agent counts for every request that it would have hit.
  - It is bounded to 1000 requests a second, 600 s, 100000 requests and 200 of them at a time.
    What is due while 200 are under way waits, which counts as latency.
  - It ends early when too many of the requests fail. That is told, and is a failure only after an
    earlier load that went through, or where not one request was answered.
  - In check mode nothing is sent; options, libraries and the place of the report are checked.
  - The load comes from where this runs, which is as a rule the controller. An agent in production
    answers it beside its users.
extends_documentation_fragment:
  - optiinfra.cost_agent.attributes
  - optiinfra.cost_agent.replicas
  - optiinfra.cost_agent.kubernetes
options:
  rate:
    description: Requests a second, over all O(targets) together. They take turns.
    type: float
    required: true
  duration_s:
    description: How many seconds to measure for.
    type: float
    default: 20.0
  warm_up_s:
    description:
      - How many seconds to send the same load for before, uncounted, so that replicas that have just
        been started have their connections open.
    type: float
    default: 2.0
  timeout_s:
    description: Seconds that an answer may take, from when its request was due.
    type: float
    default: 5.0
  path:
    description:
      - What is asked for, with its query. Give one that does the agent's usual work, since what goes
        by other ways to the database tells nothing of the pool. Any answer but 2xx is a failure.
    type: str
    default: /api/v1/health/detailed
  detailed_path:
    description:
      - Where a replica tells how many connections of its pool are in use. One replica after the other
        is asked four times a second meanwhile; it may be absent.
    type: str
    default: /api/v1/health/detailed
  abort_at_failed_percent:
    description: End the load when this many percent of the last 50 requests failed, 20 at least.
    type: float
    default: 50.0
  before:
    description:
      - RV(state) of an earlier load to compare with. It is refused when that had another O(path),
        O(rate), O(duration_s) or O(warm_up_s).
    type: dict
  settings_before:
    description: Settings as they were at the load O(before), by their names, for the report.
    type: dict
    default: {}
  settings_after:
    description: The same as they are now. The report shows those that differ.
    type: dict
    default: {}
  report:
    description:
      - A file to write an HTML page to, with the figures, the settings that differ and a chart. Only
        its owner may read it. The folder is made.
    type: path
seealso:
  - module: optiinfra.cost_agent.health_info
  - module: optiinfra.cost_agent.connection_pool
requirements:
  - pycurl
  - pygal and Jinja2, for O(report)
author:
  - OptiInfra maintainers (@optiinfra)
"""

EXAMPLES = r"""
- name: Look at the agent
  optiinfra.cost_agent.agent_info:
  register: agent_seen

- name: Measure the agent at 50 requests a second
  optiinfra.cost_agent.load_test:
    targets: "{{ agent_seen.state.targets }}"
    path: /api/v1/costs/summary
    rate: 50
  register: load_before

- name: Set the pool
  optiinfra.cost_agent.connection_pool:
    pool_size: 20
  register: pool

- name: Measure again and write the report
  optiinfra.cost_agent.load_test:
    targets: "{{ agent_seen.state.targets }}"
    path: /api/v1/costs/summary
    rate: 50
    before: "{{ load_before.state }}"
    settings_before: "{{ pool.state.before }}"
    settings_after: "{{ pool.state.pool }}"
    report: ~/reports/pool.html
"""

RETURN = r"""
state:
  description: What the load showed; in check mode only C(requests), how many would be sent.
  returned: always
  type: dict
  contains:
    path:
      description: What was asked for.
      type: str
    rate:
      description: The rate asked for.
      type: float
    duration_s:
      description: The seconds asked for.
      type: float
    warm_up_s:
      description: The seconds before that are not counted.
      type: float
    replicas:
      description: How many replicas took turns.
      type: int
    taken_at:
      description: When it began.
      type: str
    requests:
      description: How many requests were counted.
      type: int
    failed:
      description: How many of them failed.
      type: int
    failures:
      description: How many failed in which way.
      type: dict
    answers_a_second:
      description: The answers by the time until the last one.
      type: float
    p50_ms:
      description:
        - Half of the answers came within it, in ms. A nearest-rank percentile, as C(p95_ms) and
          C(p99_ms); null without an answer.
      type: float
    p95_ms:
      description: 95 % of them came within it.
      type: float
    p99_ms:
      description: 99 % of them came within it.
      type: float
    max_ms:
      description: All of them came within it.
      type: float
    distribution:
      description: Further percentiles, each as percent and ms.
      type: list
      elements: list
    most_connections_in_use:
      description: The most that a worker said it had in use; null where none said it.
      type: int
    sent_late_ms:
      description: The most that the sending side was behind its own schedule.
      type: float
    cut_short:
      description: Why the load was ended early; empty when it was not.
      type: str
    notes:
      description: What else there is to know, in sentences.
      type: list
      elements: str
actions:
  description: That the report was written, or in check mode what would be sent and written.
  returned: always
  type: list
  elements: str
summary:
  description: One line for a person.
  returned: always
  type: str
  sample: "cost-agent: p95 23.3 ms -> 11.8 ms (-49 %), 0 of 1000 failed"
tables:
  description: The figures as text, with O(before) before and after beside each other.
  returned: always
  type: list
  elements: dict
duration:
  description: Seconds that it took.
  returned: always
  type: float
reason:
  description:
    - Why it failed. V(failed_state) when the load had to be cut short that went through before.
  returned: failure
  type: str
"""

from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.module_runner import (
    run_module,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.tuning.load.load_test import (
    LOAD_TEST as OPERATION,
)


def main() -> None:
    run_module(OPERATION)


if __name__ == "__main__":
    main()
