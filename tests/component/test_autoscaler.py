# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An agent on the process platform follows a real load, as a timer makes it do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.clock import SystemClock
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.deadline import Deadline
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.lock import Lease, hold
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.state_store import (
    FileStateStore,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.agent_autoscaler import (
    AGENT_AUTOSCALER,
)

from tests.component.process_platform import ProcessPlatform
from tests.waiting import eventually

# What a replica's CPU is measured against: little, so that a machine with other work to do has it.
CORES = 0.1
BUSY = 250
# A replica that uses as much CPU as a file says, in percent of CORES.
BURNING = """
import os, threading, time

def burn():
    begun, used, last = time.monotonic(), time.thread_time(), 0.0
    while True:
        share = {cores} * int(open({file!r}).read() or 0) / 100
        if share != last:
            begun, used, last = time.monotonic(), time.thread_time(), share
        if time.thread_time() - used < share * (time.monotonic() - begun):
            sum(range(10_000))
        else:
            time.sleep(0.02)
        if time.monotonic() - begun > 1:
            begun, used = time.monotonic(), time.thread_time()

threading.Thread(target=burn, daemon=True).start()
"""
WITHOUT_DELAY = {"stabilization_s": 0}


class LoadedPlatform(ProcessPlatform):
    """The process platform with a load that a test sets, and its autoscaler."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.load_file = folder / "load"
        self.load(0)
        self.deploy("1", BURNING.format(cores=CORES, file=str(self.load_file)))

    def load(self, percent: int) -> None:
        """How much of its CPU each replica uses from now on."""
        new = self.load_file.with_suffix(".new")
        new.write_text(str(percent))
        new.rename(self.load_file)

    def start(self, replicas: int = 3, **changes: Any) -> dict[str, Any]:
        return self.agent(replicas=replicas, cpu_limit_cores=CORES, **changes)

    def autoscaler(self, check: bool = False, **changes: Any) -> dict[str, Any]:
        arguments = {"max": 5, "cpu_window_s": 2, **changes}
        return self.run(AGENT_AUTOSCALER, check=check, **arguments)

    def store(self) -> FileStateStore:
        return FileStateStore(self.home / "state")


@pytest.fixture
def platform(tmp_path) -> Iterator[LoadedPlatform]:
    platform = LoadedPlatform(tmp_path)
    try:
        yield platform
    finally:
        platform.close()


@pytest.fixture
def running(platform: LoadedPlatform) -> LoadedPlatform:
    assert platform.start()["changed"]
    return platform


def counts(outcome: dict[str, Any]) -> tuple[int, int]:
    return outcome["state"]["current_replicas"], outcome["state"]["desired_replicas"]


def reasons(outcome: dict[str, Any]) -> list[str]:
    return [condition["reason"] for condition in outcome["state"]["conditions"]]


def recommends_fewer_than(count: int, outcome: dict[str, Any]) -> dict[str, Any] | None:
    """The outcome, once the replicas have been seen at rest for a whole window."""
    return outcome if outcome["state"]["recommended_replicas"] < count else None


def test_replicas_follow_the_load_up_and_down(running):
    running.load(BUSY)
    busy = running.autoscaler()
    assert counts(busy) == (3, 5), busy
    assert busy["state"]["cpu_percent"] > 100
    assert busy["state"]["scaled_by"] == "agent"
    assert len(running.serving()) == 3  # it recommends and does nothing itself
    assert running.start(5)["changed"]
    assert running.serving() == running.names(5)

    running.load(0)
    held = eventually(lambda: recommends_fewer_than(3, running.autoscaler()))
    assert counts(held) == (5, 5)
    assert "ScaleDownStabilized" in reasons(held)

    calm = running.autoscaler(scale_down=WITHOUT_DELAY)
    assert counts(calm) == (5, 3)
    assert "TooFewReplicas" in reasons(calm)
    assert running.start(3)["changed"]
    assert running.serving() == running.names(3)


def test_a_load_on_target_changes_nothing(running):
    running.load(70)

    def on_target() -> dict[str, Any] | None:
        """The outcome of a window in which nothing else on this machine took their share."""
        outcome = running.autoscaler(cpu_window_s=3)
        return outcome if 63 <= outcome["state"]["cpu_percent"] <= 77 else None

    assert counts(eventually(on_target)) == (3, 3)


def test_the_second_run_finds_the_policy_as_it_is(platform):
    first = platform.autoscaler(cpu_window_s=0)
    assert (first["changed"], first["diff"]["before"]) == (True, {"policy": None})
    assert first["state"]["policy"]["cpu_percent"] == 70
    assert not platform.autoscaler(cpu_window_s=0)["changed"]
    changed = platform.autoscaler(cpu_window_s=0, cpu_percent=50)
    assert changed["changed"]
    assert changed["diff"]["before"]["policy"]["cpu_percent"] == 70
    assert platform.autoscaler(state="absent")["changed"]
    assert not platform.autoscaler(state="absent")["changed"]


def test_check_mode_tells_and_touches_nothing(running):
    before = running.tree()
    outcome = running.autoscaler(check=True, min=4)
    assert (outcome["changed"], counts(outcome)) == (True, (3, 4))
    assert outcome["actions"] == ["Would set the policy"]
    assert running.tree() == before


def test_replicas_that_died_are_no_reason_to_go_down(running):
    running.load(60)
    running.kill(running.names()[0])
    outcome = running.autoscaler(scale_down=WITHOUT_DELAY, min=1)
    assert counts(outcome)[0] == 3
    assert outcome["state"]["replicas"][running.names()[0]] is None
    for name in running.names()[1:]:
        running.kill(name)
    blind = running.autoscaler(scale_down=WITHOUT_DELAY, min=1)
    assert counts(blind) == (3, 3)
    assert reasons(blind) == ["FailedGetResourceMetric"]


def test_an_agent_that_is_stopped_or_was_never_started_is_left_alone(platform):
    never = platform.autoscaler()
    assert (counts(never), reasons(never)) == ((0, 0), ["ScalingDisabled"])
    platform.start()
    platform.agent("stopped")
    stopped = platform.autoscaler()
    assert (counts(stopped), reasons(stopped)) == ((0, 0), ["ScalingDisabled"])
    assert "stopped on purpose" in stopped["summary"]


def test_a_rollout_that_waits_is_not_carried_on_by_a_scaling(running):
    running.deploy("2", running.home.joinpath("current/src/main.py").read_text() + "\n")
    running.load(BUSY)
    outcome = running.autoscaler()
    assert (counts(outcome), reasons(outcome)) == ((3, 3), ["RolloutUnfinished"])


@pytest.mark.parametrize("replicas", [2, 6])
def test_a_count_that_the_policy_would_undo_is_refused(running, replicas):
    running.autoscaler(cpu_window_s=0)
    outcome = running.start(replicas)
    assert outcome["reason"] == "precondition"
    assert "autoscale.yml" in outcome["msg"]
    assert running.start(4)["changed"]
    running.autoscaler(state="absent")
    assert running.start(2)["changed"]


def test_while_another_run_changes_the_agent_nothing_is_measured(running):
    clock = SystemClock()
    with hold(running.store(), "cost-agent", "deploy", Deadline(clock, 30), clock):
        outcome = running.autoscaler(cpu_percent=50)
    assert outcome["reason"] == "locked"
    assert "'deploy'" in outcome["msg"]
    assert outcome["changed"]  # the policy is set all the same
    assert not running.autoscaler(cpu_percent=50, cpu_window_s=0)["changed"]


def test_two_evaluations_do_not_run_at_once(running):
    with Lease(running.store(), "autoscaler/cost-agent", "autoscale", SystemClock()):
        assert running.autoscaler()["reason"] == "locked"


def test_what_an_evaluation_left_may_be_spoilt(running):
    running.autoscaler()
    for name in ("policy.json", "memory.json"):
        (running.home / "state" / "autoscaler" / "cost-agent" / name).write_text('{"count": "x"')
    outcome = running.autoscaler()
    assert (outcome["changed"], counts(outcome)) == (True, (3, 3))


@pytest.mark.parametrize(
    ("changes", "option"),
    [
        ({"min": 0}, "min"),
        ({"min": -1}, "min"),
        ({"min": 6}, "max"),
        ({"max": 100_000}, "max"),
        ({"cpu_percent": 0}, "cpu_percent"),
        ({"cpu_percent": 1001}, "cpu_percent"),
        ({"cpu_window_s": 0.5}, "cpu_window_s"),
        ({"cpu_window_s": 61}, "cpu_window_s"),
        ({"cpu_window_s": float("nan")}, "cpu_window_s"),
        ({"scale_down": {"stabilization_s": 3601}}, "scale_down.stabilization_s"),
        (
            {"scale_up": {"policies": [{"type": "percent", "value": 0}]}},
            "scale_up.policies.value",
        ),
        (
            {"scale_up": {"policies": [{"type": "percent", "value": 1, "period_s": 1801}]}},
            "scale_up.policies.period_s",
        ),
    ],
)
def test_bad_options_are_refused_before_anything_is_touched(platform, changes, option):
    outcome = platform.autoscaler(**changes)
    assert outcome["reason"] == "invalid_input"
    assert f"option {option}:" in outcome["msg"]
    assert not (platform.home / "state").exists()
