# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Failures that a playbook can branch on: a closed list of reasons and one error class."""

from __future__ import annotations

from enum import Enum
from typing import Any


class Reason(str, Enum):
    """Why an operation failed; the whole list, returned as `reason` by every module."""

    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    AUTH = "auth"
    MISSING_LIBRARY = "missing_library"
    MISSING_PROGRAM = "missing_program"
    INVALID_INPUT = "invalid_input"
    PRECONDITION = "precondition"
    FAILED_STATE = "failed_state"
    INTEGRITY = "integrity"
    LOCKED = "locked"
    BUDGET = "budget"
    CANCELLED = "cancelled"


class OperationError(Exception):
    """A failure said in full: what was wanted, what was seen, what to do next.

    `wanted` continues "Failed to ..."; `seen` and `next_step` are sentences without their
    final period. `details` become keys of the failed result (`state`, `log_tail`, `events`).
    """

    def __init__(
        self, reason: Reason, wanted: str, seen: str, next_step: str, **details: Any
    ) -> None:
        self.reason = reason
        self.wanted = wanted
        self.seen = seen
        self.next_step = next_step
        self.details = details
        super().__init__(f"Failed to {wanted}: {seen}. {next_step}.")


def invalid_option(option: str, seen: str, next_step: str) -> OperationError:
    """The `invalid_input` that names an option."""
    return OperationError(Reason.INVALID_INPUT, f"read option {option}", seen, next_step)


class Cancelled(BaseException):
    """A signal asked this operation to end.

    Not an `Exception`, so that no handler between the operation and its runner swallows it.
    """

    def __init__(self, signal_name: str) -> None:
        self.signal_name = signal_name
        super().__init__(signal_name)
