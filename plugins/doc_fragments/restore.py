# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of restore and drill; mirrors postgres/restore/restore_options.py."""

from __future__ import annotations


class ModuleDocFragment:
    """What is restored, and how."""

    DOCUMENTATION = r"""
options:
  database:
    description: The database whose backups are meant.
    type: str
    default: cost_agent
  jobs:
    description:
      - How many tables are loaded, and indexes built, at a time, from 1 to 32. One table is always
        loaded by one connection; its indexes are built side by side.
    type: int
    default: 2
  owners:
    description:
      - Restore owners, grants and policies as they were. The roles must be there, and who is no
        superuser must be allowed to act as each owner.
      - With V(false), everything belongs to the connecting role and there are no grants.
    type: bool
    default: true
  create_roles:
    description:
      - As a superuser, create the roles that the backup refers to and the server lacks, with their
        attributes and memberships, and without passwords.
    type: bool
    default: false
  check_disk:
    description:
      - Refuse where the server's disk has less free than the dump is large. It can be known only on
        the server itself, and with the right to see C(data_directory); else nothing is assumed.
    type: bool
    default: true
  scratch:
    description:
      - A folder for the dump's table of contents. Data lies in it only of a directory dump that was made
        with C(--inserts), one table at a time.
      - Without it, the system's temporary one.
    type: path
  timeout_s:
    description: How many seconds the whole run may take.
    type: float
    default: 86400
  state_store:
    description:
      - URL of the state store that keeps what every run took, such as
        C(file:///var/lib/cost-agent) or C(s3://bucket/prefix).
      - Without it, no history is kept.
    type: str
  textfile:
    description: A file for the Prometheus textfile collector.
    type: path
requirements:
  - zstandard
  - pyrage, for encrypted backups
  - lz4, for dumps of others that are packed with it
  - pg_restore of the server's major version or a newer one
"""
