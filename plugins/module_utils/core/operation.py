# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One operation, two ways in: what a module and its action plugin both run."""

from __future__ import annotations

import traceback
from dataclasses import dataclass, field
from typing import Any, Callable

from .cancellation import cancellable
from .context import Context
from .errors import Cancelled, OperationError, Reason
from .redact import redact, secret_values
from .result import Result

Params = dict[str, Any]


@dataclass(frozen=True)
class Operation:
    """A module's name, its argument spec and the function that does its work.

    `rules` holds AnsibleModule's `mutually_exclusive`, `required_if` and the like.
    """

    name: str
    argument_spec: dict[str, dict[str, Any]]
    run: Callable[[Params, Context], Result]
    rules: dict[str, Any] = field(default_factory=dict)


def execute(operation: Operation, params: Params, context: Context) -> dict[str, Any]:
    """Run an operation with validated parameters; failures come back as a failed result."""
    started = context.clock.monotonic()
    try:
        with cancellable():
            outcome = operation.run(params, context).as_dict()
    except OperationError as error:
        outcome = failure(error)
    except Cancelled as signal:
        outcome = failure(
            OperationError(
                Reason.CANCELLED,
                f"finish {operation.name}",
                f"{signal.signal_name} arrived, and what it held was released",
                "Run it again",
            )
        )
    except Exception as error:  # the boundary: a defect of ours must still be a result
        outcome = failure(
            OperationError(
                Reason.FAILED_STATE,
                f"run {operation.name}",
                f"it has a defect: {type(error).__name__}: {error}",
                "Report it with the exception in this result",
                exception=traceback.format_exc(),
            )
        )
    outcome["duration"] = round(context.clock.monotonic() - started, 3)
    redacted: dict[str, Any] = redact(outcome, secret_values(params, operation.argument_spec))
    return redacted


def failure(error: OperationError) -> dict[str, Any]:
    """The failed result that tells of an error."""
    outcome: dict[str, Any] = {"changed": False, "actions": [], "state": {}, "duration": 0.0}
    outcome.update(error.details)
    outcome.update(failed=True, reason=error.reason.value, msg=str(error))
    return outcome
