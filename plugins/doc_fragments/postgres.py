# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the modules that talk to PostgreSQL; mirrors postgres/server/connection.py."""

from __future__ import annotations


class ModuleDocFragment:
    """How to reach the server; C(PROGRAMS) adds its client programs."""

    DOCUMENTATION = r"""
options:
  host:
    description:
      - The server's host name, address or socket folder.
      - Without it, and likewise for O(port), O(user), O(password), O(sslmode) and O(ca_file),
        libpq's own environment variables, password file and defaults hold.
    type: str
  port:
    description: The server's port.
    type: int
  user:
    description: The role to connect as.
    type: str
  password:
    description: Its password.
    type: str
  password_file:
    description: A file that holds the password alone, read where the module runs.
    type: path
  sslmode:
    description: How the connection is encrypted and the server verified, as libpq has it.
    type: str
    choices: [disable, allow, prefer, require, verify-ca, verify-full]
  ca_file:
    description: The certificate authorities to trust.
    type: path
requirements:
  - psycopg2
"""

    PROGRAMS = r"""
options:
  bin_dir:
    description:
      - The folder with PostgreSQL's own client programs.
      - Without it, they are looked for on E(PATH) and in the usual folders, and those of the
        server's major version are preferred to newer ones.
    type: path
"""
