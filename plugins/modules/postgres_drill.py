# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proves a backup of a PostgreSQL database by restoring it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_drill
short_description: Prove a backup of a PostgreSQL database by restoring it
version_added: 0.1.0
description:
  - Restores a backup into a scratch database of the same server or of another one, exactly as
    M(optiinfra.cost_agent.postgres_restore) does, and compares the rows of every table with the
    manifest.
  - Then checks every B-tree index by PostgreSQL's own amcheck, where the role is a superuser, and
    asks O(checks) of one's own.
  - Records the outcome and the measured time of recovery beside the backup, for
    M(optiinfra.cost_agent.postgres_backup_info), and drops the scratch database on every path.
  - Fails with reason V(integrity) when the proof fails, and with V(failed_state) when only an
    objective was missed. A server or repository that does not answer says nothing of the backup,
    and is not recorded.
  - In check mode, looks at everything that can be seen beforehand.
options:
  backup:
    description: V(latest), or an id that M(optiinfra.cost_agent.postgres_backup_info) lists.
    type: str
    default: latest
  amcheck:
    description: Check the indexes. Where it cannot be done, the result says why.
    type: bool
    default: true
  checks:
    description: Questions to the restored database. One that fails disproves the backup.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: What it is called in the result; each name once.
        type: str
        required: true
      query:
        description: A query with one value.
        type: str
        required: true
      expect:
        description:
          - What that value must be, compared as text. No value is V(null).
        type: raw
        default: true
  max_age:
    description: The recovery point objective. Fail when the backup is older, such as V(25h).
    type: str
  max_duration_s:
    description: The recovery time objective. Fail when recovery took longer.
    type: float
extends_documentation_fragment:
  - optiinfra.cost_agent.attributes
  - optiinfra.cost_agent.identity
  - optiinfra.cost_agent.postgres
  - optiinfra.cost_agent.postgres.programs
  - optiinfra.cost_agent.repository
  - optiinfra.cost_agent.restore
seealso:
  - module: optiinfra.cost_agent.postgres_restore
  - module: optiinfra.cost_agent.postgres_backup_verify
author:
  - OptiInfra maintainers (@optiinfra)
"""

EXAMPLES = r"""
- name: Prove that last night's backup brings the data back within half an hour
  optiinfra.cost_agent.postgres_drill:
    host: spare.example.com
    user: postgres
    password_file: /etc/cost-agent/spare-password
    repository: s3://optiinfra-backups
    max_age: 25h
    max_duration_s: 1800
    checks:
      - name: yesterday's costs are there
        query: SELECT max(day) >= current_date - 1 FROM line_items
      - name: accounts
        query: SELECT count(*) FROM accounts
        expect: 40
"""

RETURN = r"""
state:
  description: What the drill has shown. In check mode, empty.
  returned: success, and failure with reason V(integrity) or V(failed_state)
  type: dict
  contains:
    backup:
      description: The backup's id.
      type: str
    age_s:
      description: Its age in seconds, from the moment whose data it holds.
      type: float
    recovery_s:
      description:
        - The measured time of recovery, in seconds. From the first look to a database with all
          rows, indexes and statistics, and its rows counted.
      type: float
    load_s:
      description: Seconds of these that loading and building indexes took.
      type: float
    rows:
      description: Rows of all tables, as in the backup.
      type: int
    tables:
      description: How many tables have data.
      type: int
    indexes:
      description:
        - How many indexes were C(checked), which are C(broken), which could
          not be checked and why (C(unchecked)), or why they were all C(skipped). Null
          where O(amcheck) is false.
      type: dict
    checks:
      description: Each check with C(name), C(ok), what it should C(expect) and what was C(seen).
      type: list
      elements: dict
    notes:
      description: What is not as it was, and why, in sentences.
      type: list
      elements: str
actions:
  description: What was done, or would be done in check mode.
  returned: always
  type: list
  elements: str
tables:
  description: The checks and the broken indexes, or the tables whose rows differ.
  returned: success, and failure with reason V(integrity) or V(failed_state)
  type: list
  elements: dict
summary:
  description: The result in one line.
  returned: success
  type: str
  sample: 7704154 rows proved, recovery in 14.2 s, 7 h old
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
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.postgres_drill import (
    POSTGRES_DRILL as OPERATION,
)


def main() -> None:
    run_module(OPERATION)


if __name__ == "__main__":
    main()
