# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restores a backup of a PostgreSQL database."""

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_restore
short_description: Restore a PostgreSQL database, swap it in, and undo that
version_added: 0.1.0
description:
  - Restores a backup of M(optiinfra.cost_agent.postgres_backup) straight from its repository into a
    new database. Rows go from there straight into the server, so no data touches a disk on the way,
    and memory stays bounded; pg_restore makes everything else.
  - Looks first, before anything is created, whether the manifest can be read, all objects are
    there, the key is given, and the server has the version, extensions, roles, disk and privileges.
  - Checks every byte against the manifest as it reads, and compares the rows that the server took
    into every table with those of the backup. Where anything differs, the new database is dropped
    and the run fails with reason V(integrity), and a table of the differences.
  - With O(swap), then puts the new database in the place of the one in use by renames in one
    transaction, and keeps the old one as C(NAME_before_TIME) for O(undo).
  - Also restores the guide's own C(backup_YYYYMMDD.sql.gz), plain SQL, and pg_dump's custom and
    directory format, and stops at their first error. These have no row counts to compare with; a
    script is read as it is, and refused where it would leave the new database.
  - What a killed run left behind is dropped by the next one.
  - Two runs on one database in one repository never meet, the second fails with reason V(locked).
  - Every run restores anew. In check mode, looks at everything that can be seen beforehand.
options:
  backup:
    description:
      - V(latest), or an id that M(optiinfra.cost_agent.postgres_backup_info) lists.
      - Or the name or URL of a dump that this collection did not make, a file or the folder of a
        directory dump, such as V(backup_20250123.sql.gz).
    type: str
    default: latest
  target:
    description:
      - The name of the new database, which must not be there.
      - Without it, C(NAME_restore_TIME).
    type: str
  swap:
    description:
      - Put the restored database in the place of O(database), with the owner, grants, settings and
        comment of the one in use. Its sessions are ended.
    type: bool
    default: false
  confirm:
    description: The name of the database again, required for O(swap) and O(undo).
    type: str
  undo:
    description:
      - Restore nothing, but put the newest C(NAME_before_TIME) back in place, and keep what was
        there since as C(NAME_undone_TIME).
    type: bool
    default: false
  swap_from:
    description:
      - With O(swap), restore nothing, but swap this database in. For one that an earlier run
        restored and could not swap in.
    type: str
  analyze:
    description: Collect the planner's statistics, without which queries may be slow at first.
    type: bool
    default: true
extends_documentation_fragment:
  - optiinfra.cost_agent.attributes
  - optiinfra.cost_agent.identity
  - optiinfra.cost_agent.postgres
  - optiinfra.cost_agent.postgres.programs
  - optiinfra.cost_agent.repository
  - optiinfra.cost_agent.restore
requirements:
  - psql, for plain SQL
seealso:
  - module: optiinfra.cost_agent.postgres_backup
  - module: optiinfra.cost_agent.postgres_backup_info
  - module: optiinfra.cost_agent.postgres_drill
author:
  - OptiInfra maintainers (@optiinfra)
"""

EXAMPLES = r"""
- name: Restore the newest backup beside the database in use
  optiinfra.cost_agent.postgres_restore:
    host: db.example.com
    user: cost_agent
    password_file: /etc/cost-agent/db-password
    repository: s3://optiinfra-backups
    target: cost_agent_yesterday

- name: Put the database back to an earlier backup
  optiinfra.cost_agent.postgres_restore:
    host: db.example.com
    user: cost_agent
    password_file: /etc/cost-agent/db-password
    repository: s3://optiinfra-backups
    backup: 20250123T020000Z-5f2c91aa
    swap: true
    confirm: cost_agent

- name: Take that back
  optiinfra.cost_agent.postgres_restore:
    host: db.example.com
    user: cost_agent
    password_file: /etc/cost-agent/db-password
    repository: s3://optiinfra-backups
    undo: true
    confirm: cost_agent

- name: Restore what the guide's own commands stored
  optiinfra.cost_agent.postgres_restore:
    repository: s3://optiinfra-backups
    backup: backup_20250123.sql.gz
    target: cost_agent_january
"""

RETURN = r"""
state:
  description: What was restored or renamed. In check mode, C(backup) and C(disk).
  returned: always
  type: dict
  contains:
    database:
      description: The name under which the restored database is now.
      type: str
    restored_as:
      description: The name under which it was restored.
      returned: when a backup was restored
      type: str
    backup:
      description: The backup's id, or the dump's name.
      returned: when a backup was restored
      type: str
    rows:
      description: Rows of all tables, counted in the restored database.
      returned: when a backup was restored
      type: int
    tables:
      description: How many tables have data.
      returned: when a backup was restored
      type: int
    restore_s:
      description: Seconds from the first look to the restored database, without the swap.
      returned: when a backup was restored
      type: float
    load_s:
      description: Seconds of these that loading and building indexes took.
      returned: when a backup was restored
      type: float
    analyze_s:
      description: Seconds of these that the statistics took.
      returned: when a backup was restored
      type: float
    disk:
      description:
        - C(needed_bytes) as estimated, and C(free_bytes) on the server's disk, null where they
          cannot be known from here.
      returned: when a backup was restored
      type: dict
    swap:
      description:
        - The swap or undo. C(database) is now what was C(came_from), and what it was is C(kept);
          C(sessions_ended), C(downtime_s), and C(down_from) and C(down_until) in seconds since the
          epoch.
      returned: when a database was swapped in
      type: dict
    notes:
      description: What is not as it was, and why, in sentences.
      type: list
      elements: str
    differences:
      description: The tables that have other rows than the backup, each with both numbers.
      returned: failure with reason V(integrity), where rows differ
      type: list
      elements: dict
    object:
      description: The key of the object that is damaged or missing.
      returned: failure with reason V(integrity), where an object is at fault
      type: str
    phase:
      description: What was being done.
      returned: failure with reason V(timeout)
      type: str
actions:
  description: What was done, or would be done in check mode.
  returned: always
  type: list
  elements: str
tables:
  description: The largest tables, or those whose rows differ.
  returned: success, and failure with reason V(integrity)
  type: list
  elements: dict
log_tail:
  description: The end of what pg_restore or psql said.
  returned: when one of them failed
  type: str
summary:
  description: The result in one line.
  returned: success
  type: str
  sample: 7704154 rows in 6 tables, 14.2 s, down 0.11 s
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
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.postgres_restore import (
    POSTGRES_RESTORE as OPERATION,
)


def main() -> None:
    run_module(OPERATION)


if __name__ == "__main__":
    main()
