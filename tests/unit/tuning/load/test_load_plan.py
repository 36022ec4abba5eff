# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is refused before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.errors import (
    OperationError,
    Reason,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.tuning.load.load_test import (
    LOAD_TEST,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.tuning.load.plan import (
    LoadPlan,
    changed_settings,
    read_load_plan,
)

from tests.unit.tuning.load.test_figures import figures

TARGET = {"url": "http://127.0.0.1:8001/"}
BEFORE = figures(path="/x", rate=50.0).as_dict()


def plan(**options: Any) -> LoadPlan:
    given = {"targets": [TARGET], "rate": 50, **options}
    validated = ArgumentSpecValidator(LOAD_TEST.argument_spec).validate(given)
    assert not validated.error_messages
    return read_load_plan(validated.validated_parameters)


def test_the_load_is_counted_with_its_warm_up():
    found = plan(rate=50, duration_s=20, warm_up_s=2)
    assert (found.requests, found.warm_up_requests) == (1100, 100)
    assert found.text == "1100 requests to 1 replica, 50/s for 22 s"
    assert found.urls == ("http://127.0.0.1:8001",)


def test_a_slow_load_has_one_request_at_least():
    assert plan(rate=0.01, duration_s=1, warm_up_s=0).requests == 1


def test_replicas_that_do_not_run_are_left_out():
    stopped = {"url": "http://127.0.0.1:8002", "not_running": "it was stopped"}
    assert len(plan(targets=[TARGET, stopped]).urls) == 1
    with pytest.raises(OperationError) as refused:
        plan(targets=[stopped])
    assert refused.value.reason is Reason.PRECONDITION


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rate": 0}, "rate"),
        ({"rate": -5}, "rate"),
        ({"rate": "nan"}, "rate"),
        ({"rate": 1001}, "at most 1000"),
        ({"rate": 1000, "duration_s": 120}, "122000 requests"),
        ({"duration_s": 0}, "duration_s"),
        ({"duration_s": 601}, "duration_s"),
        ({"duration_s": "inf"}, "duration_s"),
        ({"warm_up_s": -1}, "warm_up_s"),
        ({"timeout_s": 0}, "timeout_s"),
        ({"abort_at_failed_percent": 0}, "abort_at_failed_percent"),
        ({"abort_at_failed_percent": 101}, "abort_at_failed_percent"),
        ({"path": "api/v1/health"}, "path"),
        ({"path": "/a b"}, "path"),
        ({"detailed_path": "x"}, "detailed_path"),
        ({"targets": []}, "an empty list means nothing"),
        ({"targets": [{"url": "ftp://127.0.0.1/"}]}, "ftp"),
        ({"headers": {"X Y": "1"}}, "headers"),
        ({"before": {"p95_ms": 3}}, "before"),
        ({"before": {**BEFORE, "distribution": [3]}}, "before"),
        ({"before": BEFORE, "path": "/y"}, "its path was /x"),
        ({"before": BEFORE, "path": "/x", "rate": 20}, "its rate was 50.0"),
        ({"before": BEFORE, "path": "/x", "warm_up_s": 3}, "its warm_up_s was 2.0"),
    ],
)
def test_bad_options_are_refused_by_name(options, words):
    with pytest.raises(OperationError) as refused:
        plan(**options)
    assert refused.value.reason is Reason.INVALID_INPUT
    assert words in str(refused.value)


def test_a_load_is_compared_with_one_like_it():
    found = plan(before=BEFORE, path="/x").before
    assert found is not None
    assert found.p95_ms == 950


def test_settings_that_are_the_same_are_no_change():
    before = {"pool_size": 4, "pool_timeout_s": 30.0, "gone": "x"}
    after = {"pool_size": 20, "pool_timeout_s": 30, "new": True}
    assert changed_settings(before, after) == {
        "pool_size": ("4", "20"),
        "gone": ("x", "-"),
        "new": ("-", "True"),
    }
