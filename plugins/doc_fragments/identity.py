# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the modules that open encrypted backups; mirrors postgres/sets/identity_options.py."""

from __future__ import annotations


class ModuleDocFragment:
    """The private key."""

    DOCUMENTATION = r"""
options:
  identity:
    description:
      - The private key of an encrypted backup, as C(age-keygen) prints it (V(AGE-SECRET-KEY-1...)),
        or an SSH private key without a passphrase.
    type: str
  identity_file:
    description: A file that holds it, read where the module runs. O(identity) takes precedence.
    type: path
"""
