# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every end of an operation is a result: success, failure, defect or signal."""

from __future__ import annotations

import os
import signal

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.context import Context
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.errors import (
    OperationError,
    Reason,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.operation import (
    Operation,
    execute,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.result import (
    Result,
    Table,
)

SPEC = {"secret": {"type": "str", "no_log": True}}


def outcome(run, **params):
    return execute(Operation("sample", SPEC, run), {"secret": "planted", **params}, Context())


def test_a_result_becomes_plain_data():
    result = outcome(lambda params, context: Result(changed=True, tables=[Table(["a"], [["1"]])]))
    assert result["changed"] is True
    assert result["tables"] == [{"columns": ["a"], "rows": [["1"]]}]
    assert "failed" not in result
    assert "diff" not in result


def test_an_error_becomes_a_failed_result_with_its_details():
    def run(params, context):
        raise OperationError(Reason.LOCKED, "x", "y", "Z", state={"holder": 1}, changed=True)

    result = outcome(run)
    assert (result["failed"], result["reason"]) == (True, "locked")
    assert result["msg"] == "Failed to x: y. Z."
    assert (result["state"], result["changed"]) == ({"holder": 1}, True)


def test_a_defect_becomes_a_failed_result_with_its_traceback():
    result = outcome(lambda params, context: 1 / 0)
    assert (result["failed"], result["reason"]) == (True, "failed_state")
    assert "ZeroDivisionError" in result["exception"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_cleanly_and_handlers_come_back(number):
    released = []

    def run(params, context):
        try:
            os.kill(os.getpid(), number)
            signal.pause()
        finally:
            os.kill(os.getpid(), number)  # a second one does not interrupt the cleaning up
            released.append(True)

    before = signal.getsignal(number)
    result = outcome(run)
    assert (result["reason"], released) == ("cancelled", [True])
    assert signal.getsignal(number) is before


def test_secrets_are_masked_in_results_and_messages():
    def run(params, context):
        raise OperationError(
            Reason.AUTH, "log in", f"password {params['secret']}", "x", state={"a": ["planted"]}
        )

    assert "planted" not in repr(outcome(run))
