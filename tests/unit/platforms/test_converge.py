# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which waves lead from the replicas there are to the wanted ones, and how they are carried out."""

from __future__ import annotations

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.context import Context
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.deadline import Deadline
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.errors import (
    OperationError,
    Reason,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.agent_options import (
    Limits,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.converge import (
    Convergence,
    Wave,
    changes,
    foretell,
    waves_to,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.protocol import (
    Replica,
    Report,
    Specification,
    Stop,
)

SPECIFICATION = Specification("1.4.2", "digest", "environment", {"workers": 1})


def replica(name, status="ready", up_to_date=True, **more):
    return Replica(name, f"http://{name}", status, up_to_date=up_to_date, **more)


def replacing(name):
    return Wave(stop=(name,), start=(name,), ready=(name,))


# --- the plan ---------------------------------------------------------------------------------


def test_everything_missing_starts_at_once():
    assert waves_to(["a", "b"], []) == [Wave(start=("a", "b"), ready=("a", "b"))]


def test_what_runs_as_wanted_is_left_alone():
    assert waves_to(["a", "b"], [replica("a"), replica("b")]) == []


def test_an_ended_replica_is_missing():
    seen = [replica("a", "stopped", False), replica("b")]
    assert waves_to(["a", "b"], seen) == [Wave(start=("a",), ready=("a",))]


def test_a_replica_that_is_not_ready_yet_is_waited_for():
    waves = waves_to(["a", "b"], [replica("a", "running"), replica("b")])
    assert waves == [Wave(ready=("a",))]
    assert not changes(waves)


def test_outdated_replicas_are_replaced_one_at_a_time():
    seen = [replica("a", up_to_date=False), replica("b", up_to_date=False), replica("c")]
    assert waves_to(["a", "b", "c"], seen) == [replacing("a"), replacing("b")]


def test_those_that_do_not_serve_anyway_are_replaced_first():
    seen = [replica("a", up_to_date=False), replica("b", "running", up_to_date=False)]
    assert waves_to(["a", "b"], seen) == [replacing("b"), replacing("a")]


def test_missing_ones_come_before_replacements_and_surplus_goes_last():
    seen = [replica("a", up_to_date=False), replica("c"), replica("d", "stopped", False)]
    assert waves_to(["a", "b"], seen) == [
        Wave(start=("b",), ready=("b",)),
        replacing("a"),
        Wave(stop=("c", "d")),
    ]


def test_a_restart_replaces_the_up_to_date_ones_too():
    seen = [replica("a"), replica("b", "running")]
    assert waves_to(["a", "b"], seen, replace_all=True) == [replacing("b"), replacing("a")]


def test_a_stop_takes_all_at_once():
    assert waves_to([], [replica("a"), replica("b", "running")]) == [Wave(stop=("a", "b"))]


def test_another_program_on_a_port_is_not_ours_to_stop():
    assert waves_to([], [replica("a", "foreign", False)]) == []


def test_what_would_be_done_is_said_in_words():
    seen = [
        replica("a", up_to_date=False, note="release 1.4.1, not 1.4.2"),
        replica("c"),
        replica("d", "stopped", False),
    ]
    assert foretell(waves_to(["a", "b"], seen), seen, "1.4.2") == [
        "Would start b, release 1.4.2",
        "Would replace a by one of release 1.4.2 (release 1.4.1, not 1.4.2)",
        "Would stop c",
        "Would clear away what is left of d",
    ]


# --- carrying it out --------------------------------------------------------------------------


class FakeDriver:
    """Replicas that become ready `ready_after` seconds after their start, on a fake clock."""

    def __init__(self, clock, ready_after=1.0, notes=None):
        self.clock = clock
        self.ready_after = ready_after
        self.ends_with = notes or {}
        self.started = {}
        self.calls = []

    def observe(self, wanted, specification, usage=False):
        return [self._look(name) for name in sorted({*wanted, *self.started})]

    def _look(self, name):
        if name not in self.started:
            return replica(name, "stopped", False)
        if name in self.ends_with:
            return replica(name, "stopped", False, note=self.ends_with[name])
        ready = self.clock.monotonic() - self.started[name] >= self.ready_after
        return replica(name, "ready" if ready else "running", note="" if ready else "HTTP 503")

    def start(self, name, specification):
        self.calls.append(f"start {name}")
        self.started[name] = self.clock.monotonic()

    def stop(self, names, grace_s, deadline):
        self.calls.append(f"stop {' '.join(names)}")
        return [Stop(name, self.started.pop(name, None) is not None, False, 0.1) for name in names]

    def log_since_start(self, name, lines):
        return ["Traceback:", "RuntimeError: no such table", ""]


@pytest.fixture
def carry_out(fake_clock):
    def run(driver, waves, wanted=("a", "b"), timeout_s=10, stable_s=0):
        report = Report()
        convergence = Convergence(
            driver,
            wanted,
            SPECIFICATION,
            Limits(timeout_s, 5, stable_s),
            Deadline(fake_clock, timeout_s),
            Context(clock=fake_clock),
            report,
        )
        convergence.carry_out(waves)
        return report

    return run


def test_waves_follow_each_other_only_when_ready(carry_out, fake_clock):
    driver = FakeDriver(fake_clock)
    driver.start("a", SPECIFICATION)
    driver.start("b", SPECIFICATION)
    fake_clock.sleep(5)
    report = carry_out(driver, [replacing("a"), replacing("b")])
    assert driver.calls[2:] == ["stop a", "start a", "stop b", "start b"]
    assert driver.started["b"] - driver.started["a"] == pytest.approx(1, abs=0.3)
    assert report.lowest_ready == 1
    assert report.actions[0] == "Stopped a in 0.1 s"
    assert report.actions[2].startswith("a was ready after 1.")


def test_ready_must_last(carry_out, fake_clock):
    driver = FakeDriver(fake_clock)
    carry_out(driver, [Wave(start=("a",), ready=("a",))], stable_s=3)
    assert fake_clock.monotonic() == pytest.approx(4, abs=0.5)


def test_a_replica_that_ends_fails_at_once_and_the_next_is_not_touched(carry_out, fake_clock):
    driver = FakeDriver(fake_clock, notes={"a": "it exited with code 1"})
    with pytest.raises(OperationError) as caught:
        carry_out(driver, [replacing("a"), replacing("b")])
    assert caught.value.reason is Reason.FAILED_STATE
    assert 'it exited with code 1, and its last words were "RuntimeError: no such table"' in str(
        caught.value
    )
    assert caught.value.details["log_tail"][0] == "Traceback:"
    assert driver.calls == ["stop a", "start a"]
    assert fake_clock.monotonic() == 0


def test_a_replica_that_is_never_ready_ends_at_the_deadline(carry_out, fake_clock):
    driver = FakeDriver(fake_clock, ready_after=100)
    with pytest.raises(OperationError) as caught:
        carry_out(driver, [Wave(start=("a", "b"), ready=("a", "b"))])
    assert caught.value.reason is Reason.TIMEOUT
    assert "a: HTTP 503, b: HTTP 503" in str(caught.value)
    assert fake_clock.monotonic() == pytest.approx(10)


def test_nothing_new_is_begun_after_the_deadline(carry_out, fake_clock):
    driver = FakeDriver(fake_clock, ready_after=10)
    with pytest.raises(OperationError) as caught:
        carry_out(driver, [replacing("a"), replacing("b")])
    assert caught.value.reason is Reason.TIMEOUT
    assert "1 of 2 steps" in str(caught.value)
    assert "stop b" not in driver.calls
