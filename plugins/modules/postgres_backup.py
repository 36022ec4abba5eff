# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backs a PostgreSQL database up into a repository."""

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_backup
short_description: Back a PostgreSQL database up into a repository
version_added: 0.1.0
description:
  - Streams pg_dump's directory format through zstd into multipart uploads, with O(jobs)
    connections. About 120 MB of scratch disk and 250 MB of memory are enough for a database of any
    size.
  - Counts the rows of every table while they pass, under pg_dump's own snapshot.
  - Writes the manifest last. A run that ends before has made no backup, and removes what it stored;
    the next run ends the uploads that a killed one left behind.
  - Two runs on one database in one repository never meet, the second fails with reason V(locked)
    and names the first.
  - In check mode, connects to the server and to the repository and changes nothing.
options:
  database:
    description: The database to back up.
    type: str
    default: cost_agent
  jobs:
    description: How many tables are read at a time, 1 to 32. pg_dump takes one more connection.
    type: int
    default: 2
  compression_level:
    description: The level of zstd, from 1 to 19.
    type: int
    default: 1
  max_age:
    description:
      - Make no backup where a good one of the same kind is at most so old, such as V(24h). It is of
        the same kind with the same O(exclude_schemas), O(exclude_tables) and O(recipients).
      - A backup that M(optiinfra.cost_agent.postgres_backup_verify) found damaged is not good.
    type: str
  exclude_schemas:
    description: Patterns of schemas to leave out, as for C(pg_dump --exclude-schema).
    type: list
    elements: str
    default: []
  exclude_tables:
    description: Patterns of tables to leave out, as for C(pg_dump --exclude-table).
    type: list
    elements: str
    default: []
  rate_limit_mb_s:
    description: The most megabytes (10^6 bytes) to store in a second.
    type: float
  recipients:
    description:
      - Public keys to encrypt to, of age (V(age1...)) or SSH (V(ssh-ed25519 ...), V(ssh-rsa ...)).
      - Whoever makes such a backup cannot read it; one of the private keys does.
      - The manifest, with the names of the tables and their rows, is not encrypted.
    type: list
    elements: str
    default: []
  scratch:
    description:
      - A folder on ext4, XFS, Btrfs or tmpfs with 150 MB of free space.
      - Without it, the system's temporary one.
    type: path
  lock_timeout_s:
    description: How many seconds to wait for a table that another session has locked.
    type: float
    default: 60
  timeout_s:
    description: How many seconds the whole backup may take.
    type: float
    default: 86400
  state_store:
    description:
      - URL of the state store that keeps size and duration of every backup, such as
        C(file:///var/lib/cost-agent) or C(s3://bucket/prefix).
      - Without it, no history is kept.
    type: str
  textfile:
    description: A file for the Prometheus textfile collector.
    type: path
extends_documentation_fragment:
  - optiinfra.cost_agent.attributes
  - optiinfra.cost_agent.postgres
  - optiinfra.cost_agent.postgres.programs
  - optiinfra.cost_agent.repository
requirements:
  - zstandard
  - inotify_simple
  - pyrage, for O(recipients)
  - pg_dump, pg_dumpall and pg_restore of the server's major version or a newer one
seealso:
  - module: optiinfra.cost_agent.postgres_backup_info
  - module: optiinfra.cost_agent.postgres_backup_verify
  - module: optiinfra.cost_agent.postgres_backup_prune
  - module: optiinfra.cost_agent.postgres_restore
author:
  - OptiInfra maintainers (@optiinfra)
"""

EXAMPLES = r"""
- name: Back the database up
  optiinfra.cost_agent.postgres_backup:
    host: db.example.com
    user: cost_agent
    password_file: /etc/cost-agent/db-password
    repository: s3://optiinfra-backups

- name: Have a backup that is at most a day old, which only the holder of the key can read
  optiinfra.cost_agent.postgres_backup:
    host: db.example.com
    user: cost_agent
    password_file: /etc/cost-agent/db-password
    repository: s3://optiinfra-backups/production
    max_age: 24h
    recipients:
      - age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p
"""

RETURN = r"""
state:
  description: The backup, made now or found young enough.
  returned: success, not in check mode
  type: dict
  contains:
    id:
      description: Its id, which sorts by time.
      type: str
      sample: 20250123T020000Z-5f2c91aa
    database:
      description: The database's name.
      type: str
    repository:
      description: Where it is.
      type: str
    started_at:
      description: When its snapshot was about to be taken, in UTC.
      type: str
    finished_at:
      description: When everything but the manifest was stored, in UTC.
      type: str
    duration_s:
      description: Seconds between the two.
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
    large_objects:
      description: How many large objects it has.
      type: int
    server_version:
      description: The server's version as PostgreSQL's number.
      type: int
      sample: 170004
    pg_dump_version:
      description: The version of pg_dump.
      type: str
    lsn:
      description: The position in the server's log at the snapshot.
      type: str
    encrypted:
      description: Whether a private key is needed to read it.
      type: bool
    objects:
      description: How many objects hold it, without the manifest.
      type: int
    peak_scratch_bytes:
      description: The most that the scratch folder held.
      returned: when a backup was made
      type: int
    notes:
      description:
        - What is worth knowing of it, such as one table that is more than half of the data and so
          decides how long a backup takes.
      returned: when a backup was made
      type: list
      elements: str
actions:
  description: What was done, or would be done in check mode.
  returned: always
  type: list
  elements: str
summary:
  description: The result in one line.
  returned: success
  type: str
  sample: 7704154 rows, 1.41 GiB as 309 MiB in 7.4 s, 205 MB/s
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
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.postgres_backup import (
    POSTGRES_BACKUP as OPERATION,
)


def main() -> None:
    run_module(OPERATION)


if __name__ == "__main__":
    main()
