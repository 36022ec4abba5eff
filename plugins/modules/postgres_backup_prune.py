# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove old backups of a PostgreSQL database."""

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_backup_prune
short_description: Remove old backups of a PostgreSQL database
version_added: 0.1.0
description:
  - Keeps the backups that at least one rule keeps, and removes the others. The rules are those of
    restic, Borg and Proxmox Backup Server; days, ISO weeks, months and years are in UTC.
  - The newest good backup always stays. A backup that
    M(optiinfra.cost_agent.postgres_backup_verify) found damaged takes no good one's place, and
    stays for as long as it would if it were good.
  - Backups that leave out different schemas or tables are judged apart, so that none without a
    table takes the place of one that has it.
  - Never removes a set that has an object under a legal hold or an object lock, nor one whose
    manifest is damaged or of a newer version of this collection. Dumps of the guide's own commands
    are not touched.
  - Removes unfinished sets that are older than O(unfinished_after), and ends unfinished uploads.
  - Fails with reason V(locked) while a backup, restore or drill of the database works in this
    repository, and names it. No backup begins meanwhile; a restore may, and fails when its own
    backup is one that goes.
  - Manifests go first, in requests of 1,000 objects each. What a killed run leaves is unfinished
    sets, which the next run removes.
  - In check mode, lists exactly what would go and touches nothing, not even the lock.
options:
  database:
    description: The database whose backups are pruned.
    type: str
    default: cost_agent
  keep_last:
    description: Keep so many of the newest backups. At least one of the rules must be above 0.
    type: int
    default: 0
  keep_daily:
    description: Keep the newest backup of each of so many last days that have one.
    type: int
    default: 0
  keep_weekly:
    description: Keep the newest backup of each of so many last ISO weeks that have one.
    type: int
    default: 0
  keep_monthly:
    description: Keep the newest backup of each of so many last months that have one.
    type: int
    default: 0
  keep_yearly:
    description: Keep the newest backup of each of so many last years that have one.
    type: int
    default: 0
  unfinished_after:
    description: How old an unfinished set must be to be removed, such as V(1d) or V(12h).
    type: str
    default: 1d
extends_documentation_fragment:
  - optiinfra.cost_agent.attributes
  - optiinfra.cost_agent.repository
seealso:
  - module: optiinfra.cost_agent.postgres_backup_info
author:
  - OptiInfra maintainers (@optiinfra)
"""

EXAMPLES = r"""
- name: See what a week of days, a month of weeks and a year of months would leave
  optiinfra.cost_agent.postgres_backup_prune:
    repository: s3://optiinfra-backups
    keep_daily: 7
    keep_weekly: 5
    keep_monthly: 12
  check_mode: true

- name: Keep the last three backups, and nothing unfinished from before this hour
  optiinfra.cost_agent.postgres_backup_prune:
    repository: s3://optiinfra-backups
    keep_last: 3
    unfinished_after: 1h
"""

RETURN = r"""
state:
  description: What went and what is left.
  returned: success
  type: dict
  contains:
    removed:
      description: The sets that went, or would in check mode, newest first.
      type: list
      elements: dict
      contains:
        id:
          description: The set's id.
          type: str
        kind:
          description: C(backup), C(unfinished), C(damaged) or C(newer).
          type: str
        started_at:
          description: When it was begun, in UTC.
          type: str
        size_bytes:
          description: Bytes of its data; 0 where they are not known.
          type: int
        reason:
          description: Why it is kept, or goes.
          type: str
    kept:
      description: The sets that stay, newest first.
      type: list
      elements: dict
      contains:
        id:
          description: The set's id.
          type: str
        kind:
          description: C(backup), C(unfinished), C(damaged) or C(newer).
          type: str
        started_at:
          description: When it was begun, in UTC.
          type: str
        size_bytes:
          description: Bytes of its data; 0 where they are not known.
          type: int
        reason:
          description: Why it is kept, or goes.
          type: str
    freed_bytes:
      description: Bytes of the data that went, or would.
      type: int
    aborted_uploads:
      description: Unfinished uploads that were ended, or would be.
      type: int
actions:
  description: What was removed, or would be in check mode.
  returned: success
  type: list
  elements: str
tables:
  description: One table, a line for each set with its fate and the reason.
  returned: success
  type: list
  elements: dict
summary:
  description: The result in one line.
  returned: success
  type: str
  sample: removed 3 of 17 sets, 1.21 GiB
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
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.postgres_backup_prune import (
    POSTGRES_BACKUP_PRUNE as OPERATION,
)


def main() -> None:
    run_module(OPERATION)


if __name__ == "__main__":
    main()
