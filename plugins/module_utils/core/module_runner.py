# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way in for a target: an operation inside an AnsibleModule."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule

from .context import Context
from .operation import Operation, execute


def run_module(operation: Operation) -> None:
    """Validate the arguments, run the operation, exit as a module does."""
    module = AnsibleModule(
        argument_spec=operation.argument_spec, supports_check_mode=True, **operation.rules
    )
    outcome = execute(operation, module.params, Context(check_mode=module.check_mode))
    if outcome.pop("failed", False):
        module.fail_json(**outcome)
    module.exit_json(**outcome)
