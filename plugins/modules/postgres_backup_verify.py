# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read backups of a PostgreSQL database back and compare them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_backup_verify
short_description: Read backups of a PostgreSQL database back and compare them
version_added: 0.1.0
description:
  - Reads every object of a backup back, streamed, in bounded memory, and compares the sizes of the
    objects and the size and SHA-256 of every file with the manifest.
  - Where the backup is not encrypted, or O(identity) is given, also decompresses every file and
    compares its own size, and the rows of every table.
  - Records what it found beside the manifest, for M(optiinfra.cost_agent.postgres_backup_info). A
    backup that is recorded as damaged is not taken for a good one any more.
  - Verifies everything that was asked for, then fails with reason V(integrity) if any is damaged,
    and names every bad object and file.
  - A run is a change when it finds another verdict than the one on record.
  - In check mode, reads nothing back and says which backups it would verify.
options:
  database:
    description: The database whose backups are verified.
    type: str
    default: cost_agent
  backup:
    description:
      - V(latest), an id as M(optiinfra.cost_agent.postgres_backup_info) lists it, V(all), or
        V(unverified) for those that were never verified.
    type: str
    default: latest
  jobs:
    description: How many objects are read at a time, from 1 to 32.
    type: int
    default: 2
extends_documentation_fragment:
  - optiinfra.cost_agent.attributes
  - optiinfra.cost_agent.identity
  - optiinfra.cost_agent.repository
requirements:
  - zstandard
  - pyrage, for O(identity) and O(identity_file)
seealso:
  - module: optiinfra.cost_agent.postgres_backup_info
author:
  - OptiInfra maintainers (@optiinfra)
"""

EXAMPLES = r"""
- name: Verify the newest backup
  optiinfra.cost_agent.postgres_backup_verify:
    repository: s3://optiinfra-backups

- name: Verify what was not verified yet, and open the encrypted files
  optiinfra.cost_agent.postgres_backup_verify:
    repository: s3://optiinfra-backups
    backup: unverified
    identity_file: /etc/cost-agent/restore.key
    jobs: 4
"""

RETURN = r"""
state:
  description: What was found.
  returned: success, and failure with reason V(integrity)
  type: dict
  contains:
    backups:
      description: The verified ones, newest first; empty in check mode.
      type: list
      elements: dict
      contains:
        id:
          description: The backup's id.
          type: str
        ok:
          description: Whether it is whole.
          type: bool
        opened:
          description:
            - Whether its files were opened and their rows counted, and not only compared as they
              are stored.
          type: bool
        read_bytes:
          description: Bytes that were read back.
          type: int
        duration_s:
          description: Seconds that it took.
          type: float
        problem_count:
          description: How many objects and files are bad.
          type: int
        problems:
          description: The first 50 of them, each with C(object), C(file) and what was C(seen).
          type: list
          elements: dict
    removed_meanwhile:
      description: Backups that another run pruned while they were read.
      returned: not in check mode
      type: list
      elements: str
    would_verify:
      description: The ids of what would be verified.
      returned: in check mode
      type: list
      elements: str
    read_bytes:
      description: Bytes that were read back in all.
      type: int
actions:
  description: What was recorded, or in check mode what would be verified.
  returned: always
  type: list
  elements: str
tables:
  description: Every bad object and file.
  returned: failure with reason V(integrity)
  type: list
  elements: dict
summary:
  description: The result in one line.
  returned: success
  type: str
  sample: 1 backup whole, 309 MiB in 2.1 s, 154 MB/s
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
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.postgres_backup_verify import (
    POSTGRES_BACKUP_VERIFY as OPERATION,
)


def main() -> None:
    run_module(OPERATION)


if __name__ == "__main__":
    main()
