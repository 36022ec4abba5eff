# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A module that needs an option and has a defect."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule


def main():
    AnsibleModule(argument_spec={"replicas": {"type": "int", "required": True}})
    raise RuntimeError("a defect of the module")


if __name__ == "__main__":
    main()
