# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Operations run as their action plugins run them, in this process or in one to be killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.context import Context
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.operation import (
    Operation,
    execute,
)

from tests.component.playbook_run import CHECKOUT


def run_operation(operation: Operation, *, check: bool = False, **arguments: Any) -> dict[str, Any]:
    """The operation's result, with options coerced and defaults filled in."""
    validated = ArgumentSpecValidator(operation.argument_spec, **operation.rules).validate(
        arguments
    )
    assert not validated.error_messages
    return execute(operation, validated.validated_parameters, Context(check_mode=check))


@dataclass
class Running:
    """An operation in a process of its own."""

    process: subprocess.Popen[str]

    @property
    def pid(self) -> int:
        return self.process.pid

    def result(self, timeout_s: float = 300) -> dict[str, Any]:
        """What it returned; fails when it returned nothing."""
        output, _errors = self.process.communicate(timeout=timeout_s)
        result: dict[str, Any] = json.loads(output)
        return result

    def kill(self) -> str:
        """As the kernel does when memory is short; what it had printed by then."""
        self.process.kill()
        return "\n".join(self.process.communicate(timeout=300))


def start_operation(
    area: str, name: str, inside: Sequence[str] = (), **arguments: Any
) -> Running:  # fmt: skip
    """The operation NAME of `module_utils/AREA/NAME.py`, in a new process and session.

    `inside` is a command that ends by running what it is given as its last arguments.
    """
    return Running(
        start(
            [*inside, sys.executable, "-m", "tests.component.operations", area, name],
            env=os.environ | {"OPERATION_ARGUMENTS": json.dumps(arguments)},
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    )


_started: list[subprocess.Popen[str]] = []


def start(command: Sequence[str], **options: Any) -> subprocess.Popen[str]:
    """A process that ends with the test, also with one that fails."""
    process = subprocess.Popen(command, text=True, **options)
    _started.append(process)
    return process


def end_started() -> None:
    """End what a test has started, and close what it would read of it.

    A pipe that a failed test leaves open is closed, with a warning, in the midst of another one.
    """
    while _started:
        process = _started.pop()
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


if __name__ == "__main__":
    area, name = sys.argv[1:]
    package = "ansible_collections.optiinfra.cost_agent.plugins.module_utils"
    module = import_module(f"{package}.{area}.{name}")
    given = json.loads(os.environ.pop("OPERATION_ARGUMENTS"))
    print(json.dumps(run_operation(getattr(module, name.upper()), **given)))
