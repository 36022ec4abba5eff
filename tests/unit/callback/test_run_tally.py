# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the last line knows of a run."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.plugin_utils.run_tally import RunTally


def stats(*processed: str, **counts: dict[str, int]) -> SimpleNamespace:
    kinds = ("failures", "dark", "rescued", "ignored")
    return SimpleNamespace(processed=processed, **{kind: counts.get(kind, {}) for kind in kinds})


@pytest.fixture
def tally() -> RunTally:
    return RunTally()


def test_the_last_verdict_of_a_host_counts(tally):
    tally.note("a", "1", {"state": {"verdict": "down"}})
    tally.note("a", "2", {"state": {"verdict": "healthy"}})
    assert tally.outcome(stats("a"), 1).verdicts == {"a": "healthy"}


def test_a_step_that_changed_several_hosts_is_one(tally):
    for host in ("a", "b"):
        tally.note(host, "1", {"changed": True})
    assert tally.outcome(stats("a", "b"), 1).changed_steps == 1


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ({"reason": "timeout", "msg": "Failed to x."}, "restart: timeout"),
        ({"msg": "non-zero return code\nmore"}, "restart: non-zero return code"),
        ({"msg": "Failed to x: no host. Name one."}, "restart: Failed to x: no host"),
        ({"msg": ""}, "restart"),
        ({}, "restart"),
    ],
)
def test_a_lost_host_has_its_step_and_reason(tally, result, text):
    tally.failed("a", "restart", result)
    assert tally.outcome(stats("a", failures={"a": 1}), 1).failures == {"a": text}


def test_a_rescued_failure_is_none(tally):
    tally.failed("a", "restart", {"reason": "timeout"})
    assert tally.outcome(stats("a", rescued={"a": 1}), 1).failures == {}


def test_an_unreachable_host_is_lost(tally):
    assert tally.outcome(stats("a", dark={"a": 1}), 1).failures == {"a": "see above"}


def test_hosts_of_plays_that_only_look_around_do_not_count(tally):
    tally.saw_hosts(["localhost", "a"])
    tally.operated_on(["a"])
    assert tally.outcome(stats("localhost", "a"), 1).hosts == 1


def test_a_run_that_only_looked_around_had_hosts_all_the_same(tally):
    tally.saw_hosts(["localhost"])
    assert tally.outcome(stats("localhost"), 1).hosts == 1


def test_hosts_are_listed_in_the_order_of_the_inventory(tally):
    tally.saw_hosts(["web2", "web1"])
    assert sorted(["added", "web1", "web2"], key=tally.place) == ["web2", "web1", "added"]
