# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""List the backups of a PostgreSQL database."""

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_backup_info
short_description: List the backups of a PostgreSQL database
version_added: 0.1.0
description:
  - Lists what a repository has of a database, newest first, with age, size, rows, the time it took,
    and what verification and drills found.
  - Shows damaged and unfinished sets too, and the dumps that the guide's own commands left at the
    root of the repository, C(backup_YYYYMMDD.sql) and C(backup_YYYYMMDD.sql.gz).
  - Never fails for what it finds. A repository without backups is a result.
  - Asks a repository in S3 four or five times for every thousand backups. Manifests that
    C(catalog.json) does not know are read, 16 at a time.
options:
  database:
    description: The database whose backups are listed.
    type: str
    default: cost_agent
  max_age:
    description:
      - How old the newest good backup may be, such as V(26h), for RV(state.fresh).
    type: str
  limit:
    description: List so many of the newest only. Counts and sizes are still those of all.
    type: int
extends_documentation_fragment:
  - optiinfra.cost_agent.attributes
  - optiinfra.cost_agent.repository
seealso:
  - module: optiinfra.cost_agent.postgres_backup
  - module: optiinfra.cost_agent.postgres_backup_verify
author:
  - OptiInfra maintainers (@optiinfra)
"""

EXAMPLES = r"""
- name: List the ten newest backups
  optiinfra.cost_agent.postgres_backup_info:
    repository: s3://optiinfra-backups
    limit: 10

- name: See whether last night's backup is there
  optiinfra.cost_agent.postgres_backup_info:
    repository: s3://optiinfra-backups
    max_age: 26h
  register: backups_found

- name: Fail when it is not
  ansible.builtin.assert:
    that: backups_found.state.fresh
    fail_msg: "{{ backups_found.summary }}"
"""

RETURN = r"""
state:
  description: What there is.
  returned: success
  type: dict
  contains:
    repository:
      description: Where it is.
      type: str
    database:
      description: The database's name.
      type: str
    backups:
      description: Every set and foreign dump, newest first. What is not known of one is null.
      type: list
      elements: dict
      contains:
        id:
          description: Its id, which sorts by time; the key of a dump of kind C(foreign).
          type: str
        kind:
          description:
            - C(backup), a finished one. C(damaged), one without readable manifest or without data.
              C(newer), a newer version of this collection made it. C(unfinished), being made now or
              given up. C(foreign), a dump of the guide's own commands.
          type: str
        database:
          description: The database's name; unknown of C(foreign).
          type: str
        started_at:
          description: When its snapshot was about to be taken, in UTC.
          type: str
        finished_at:
          description: When all of it was stored, in UTC.
          type: str
        age_s:
          description: Seconds since C(started_at).
          type: float
        duration_s:
          description: Seconds that it took.
          type: float
        size_bytes:
          description: Stored bytes.
          type: int
        raw_size_bytes:
          description: Bytes of the dump.
          type: int
        rows:
          description: Rows of all tables.
          type: int
        tables:
          description: How many tables' data it has.
          type: int
        server_version:
          description: The server's version as PostgreSQL's number.
          type: int
          sample: 170004
        encrypted:
          description: Whether a private key is needed to read it.
          type: bool
        excluded:
          description: The schemas and tables that were left out on purpose.
          type: list
          elements: str
        verified:
          description: What verification found last, C(ok), C(failed) or C(never).
          type: str
        verified_at:
          description: When that was, in UTC.
          type: str
        drill:
          description: What the last drill found, C(ok), C(failed) or C(never).
          type: str
        drilled_at:
          description: When that was, in UTC.
          type: str
        reason:
          description: Why it is no good, of the kinds other than C(backup).
          type: str
    count:
      description: How many finished backups there are.
      type: int
    size_bytes:
      description: Stored bytes of everything listed whose size is known.
      type: int
    newest_good:
      description:
        - The newest backup that verification did not find damaged, as in RV(state.backups);
          null where there is none.
      type: dict
    fresh:
      description: Whether that one is at most O(max_age) old; null without O(max_age).
      type: bool
tables:
  description:
    - One table, a line for each set. The column C(proof) has the strongest that is known, from
      C(restored) by a drill over C(verified) to C(none yet); C(no restore) for a failed drill and
      C(damaged) for a failed verification.
  returned: success
  type: list
  elements: dict
summary:
  description: The result in one line.
  returned: success
  type: str
  sample: 17 backups, 12.3 GiB, newest good one 3 h old
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
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.postgres_backup_info import (
    POSTGRES_BACKUP_INFO as OPERATION,
)


def main() -> None:
    run_module(OPERATION)


if __name__ == "__main__":
    main()
