# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way in for the controller: the one base class of this collection's action plugins.

Measured on two cores: a module task costs 0.28 s on a local connection, an action task 0.015 s.
So an operation whose target is the controller runs in the controller's worker process; for every
other target the same-named module is shipped. Both ways share validation, defaults, check mode,
`no_log`, environment and result.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any

from ansible import constants
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.parameters import remove_values
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.clock import SystemClock
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.context import Context
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.errors import (
    OperationError,
    Reason,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.normalise import normalise
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.operation import (
    Operation,
    Params,
    execute,
    failure,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.progress import (
    LOG_PERIOD_S,
    TERMINAL_PERIOD_S,
    Progress,
)

_PERIOD_S = TERMINAL_PERIOD_S if sys.stdout.isatty() else LOG_PERIOD_S


class EngineAction(ActionBase):
    """Runs `operation` here or ships its module; subclasses only name the operation."""

    operation: Operation

    # A worker needs no connection to run the engine; shipping a module opens its own.
    _requires_connection = False
    _supports_async = True

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        super().run(tmp, task_vars)
        task_vars = task_vars or {}
        try:
            arguments = normalise(self._task.args, self.operation.argument_spec)
            params, invocation = self._validate(arguments)
        except OperationError as error:
            return failure(error)
        if not self._target_is_controller(task_vars):
            return self._ship_module(arguments, task_vars)
        clock = SystemClock()
        context = Context(
            check_mode=bool(self._task.check_mode),
            clock=clock,
            progress=Progress(lambda line: Display().display(f"    {line}"), clock, _PERIOD_S),
        )
        with self._environment():
            outcome = execute(self.operation, params, context)
        if _modules_return_invocation(task_vars):
            outcome["invocation"] = invocation
        return outcome

    def _validate(self, arguments: dict[str, Any]) -> tuple[Params, dict[str, Any]]:
        """Coerced parameters with defaults, and the invocation with secrets censored."""
        validator = ArgumentSpecValidator(self.operation.argument_spec, **self.operation.rules)
        validated = validator.validate(arguments)
        if validated.error_messages:
            raise OperationError(
                Reason.INVALID_INPUT,
                f"read the options of {self.operation.name}",
                "; ".join(validated.error_messages).rstrip("."),
                f"See ansible-doc {self._task.resolved_action}",
            )
        params = validated.validated_parameters
        censored = remove_values({"module_args": params}, validated._no_log_values)
        return params, censored

    def _ship_module(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        result: dict[str, Any] = self._execute_module(
            module_name=self._task.resolved_action,
            module_args=arguments,
            task_vars=task_vars,
            wrap_async=bool(self._task.async_val),
        )
        return result

    def _target_is_controller(self, task_vars: dict[str, Any]) -> bool:
        """Local connection, same user, the controller's own interpreter, and no async."""
        if self._task.async_val or self._connection.transport != "local":
            return False
        if self._play_context.become or self._task.become:
            return False
        variables = task_vars
        if self._task.delegate_to:
            delegated = task_vars.get("ansible_delegated_vars", {})
            variables = delegated.get(self._task.delegate_to, task_vars)
        interpreter = self._templar.template(variables.get("ansible_python_interpreter", ""))
        return os.path.normpath(str(interpreter)) == os.path.normpath(sys.executable)

    @contextlib.contextmanager
    def _environment(self) -> Iterator[None]:
        """The task's `environment` in this worker, for the engine and its child processes."""
        wanted: dict[str, Any] = {}
        self._compute_environment_string(wanted)
        before = dict(os.environ)
        os.environ.update({name: str(value) for name, value in wanted.items()})
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


def _modules_return_invocation(task_vars: dict[str, Any]) -> bool:
    """Whether modules return `invocation`: always before ansible-core 2.21, then a setting."""
    if constants.config.get_configuration_definition("INJECT_INVOCATION") is None:
        return True
    return bool(constants.config.get_config_value("INJECT_INVOCATION", variables=task_vars))
