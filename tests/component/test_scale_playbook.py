# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""scale.yml, run as an operator runs it, against a real agent on a real stack."""

from __future__ import annotations

import json

import pytest


def test_a_scale_is_foretold_then_made_and_then_nothing_is_left_to_do(deployed):
    check = deployed.play("scale", "-e", "cost_agent_replicas=3", "--check", "--diff")
    assert (check.code, check.changed) == (0, ["Replicas scaled"]), check.output
    assert sorted(deployed.serving()) == [0, 1]
    first = deployed.pid(0)
    run = deployed.play("scale", "-e", "cost_agent_replicas=3")
    assert (run.code, run.changed) == (0, ["Replicas scaled"]), run.output
    result = run.result_of("agent")
    assert result["summary"] == "from 2 to 3: 3 of 3 ready, release 1.4.1"
    assert result["ansible_stats"]["data"]["cost_agent_scale"] == {
        "cost-agent": {"before": 2, "after": 3}
    }
    assert deployed.serving() == dict.fromkeys(range(3), "1.4.1")
    assert deployed.pid(0) == first
    again = deployed.play("scale", "-e", "cost_agent_replicas=3")
    assert (again.code, again.changed) == (0, [])


@pytest.mark.slow
def test_a_count_means_the_same_however_it_arrives(deployed, tmp_path):
    answers = tmp_path / "survey.yml"
    answers.write_text("!unsafe 'cost_agent_replicas': !unsafe '2'\n")
    for way in ("cost_agent_replicas=2", '{"cost_agent_replicas": 2}', f"@{answers}"):
        run = deployed.play("scale", "-e", way)
        assert run.code == 0, run.output
        assert sorted(deployed.serving()) == [0, 1]


def test_release_and_environment_stay_as_they_are(deployed):
    given = {
        "cost_agent_release": "9.9.9",
        "cost_agent_environment": {"LOG_LEVEL": "debug"},
        "cost_agent_environment_secrets": {"API_TOKEN": "another one"},
        "cost_agent_replicas": len(deployed.serving()),
    }
    run = deployed.play("scale", "-e", json.dumps(given))
    assert (run.code, run.changed) == (0, []), run.output


@pytest.mark.parametrize(
    ("count", "words"),
    [
        ("", "replicas"),
        (0, "stop.yml"),
        ("0", "stop.yml"),
        (-1, "-1"),
        (1.5, "replicas"),
        ("many", "replicas"),
        (60000, "ports"),
    ],
)
def test_a_count_that_is_none_is_refused(deployed, count, words):
    before = deployed.pid(0)
    # A count beyond all ports is beyond the budget first; this test is about what comes after.
    given = {"cost_agent_replicas": count, "cost_agent_allow_over_budget": True}
    run = deployed.play("scale", "-e", json.dumps(given))
    assert (run.code, run.changed) == (2, [])
    assert run.result_of("agent")["reason"] == "invalid_input"
    assert words in run.result_of("agent")["msg"]
    assert deployed.pid(0) == before


@pytest.mark.slow
def test_a_scale_that_was_killed_is_finished_by_the_next(deployed):
    deployed.kill_when(lambda: deployed.pid(2) is not None, "scale", "-e", "cost_agent_replicas=5")
    run = deployed.play("scale", "-e", "cost_agent_replicas=5")
    assert run.code == 0, run.output
    assert deployed.serving() == dict.fromkeys(range(5), "1.4.1")
    assert deployed.play("scale", "-e", "cost_agent_replicas=2").code == 0
    assert sorted(deployed.serving()) == [0, 1]


@pytest.mark.slow
def test_a_restart_that_was_killed_leaves_all_serving_after_the_next(deployed):
    first, second = deployed.pid(0), deployed.pid(1)
    deployed.kill_when(lambda: deployed.pid(0) not in (first, None), "restart")
    assert deployed.pid(1) == second
    run = deployed.play("restart")
    assert run.code == 0, run.output
    assert deployed.serving() == {0: "1.4.1", 1: "1.4.1"}
    assert second not in (deployed.pid(0), deployed.pid(1))
    assert deployed.play("start").changed == []


def test_what_was_stopped_on_purpose_is_not_started_by_a_count(deployed):
    assert deployed.play("stop").code == 0
    for options in ([], ["--check"]):
        run = deployed.play("scale", "-e", "cost_agent_replicas=3", *options)
        assert (run.code, run.changed) == (2, [])
        assert run.result_of("agent")["reason"] == "precondition"
        assert "start.yml" in run.result_of("agent")["msg"]
    assert deployed.serving() == {}
