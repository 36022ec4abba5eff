# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""autoscale.yml, run as a timer runs it, against a real agent that is kept busy."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.clock import SystemClock
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.deadline import Deadline
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.lock import Lease, hold
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.state_store import (
    FileStateStore,
)

from tests.component.agent_site import Site
from tests.component.playbook_run import Run

# So little that a fraction of a core is a load, also on a machine that has other work.
CORES = 0.1
BUSY = {"cpu_fraction": 0.25, "cpu_seconds": 1200}
WITHOUT_DELAY = '{"cost_agent_autoscaler_scale_down": {"stabilization_s": 0}}'


class BusySite(Site):
    """A site whose replicas take faults, and whose autoscaler looks for 3 s."""

    def autoscale(self, *options: str) -> Run:
        return self.play("autoscale", *options)

    def load(self, faults: dict) -> None:
        """Put exactly these faults in force at every replica that answers."""
        for replica in self.serving():
            url = f"http://127.0.0.1:{self.port + replica}/api/v1/faults"
            headers = {"Content-Type": "application/json"}
            request = urllib.request.Request(url, json.dumps(faults).encode(), headers)
            urllib.request.urlopen(request, timeout=300).close()


@pytest.fixture(scope="module")
def site(tmp_path_factory, demo_stack) -> Iterator[BusySite]:
    settings = {
        "cost_agent_replicas": "",
        "cost_agent_cpu_limit_cores": CORES,
        "cost_agent_autoscaler_max": 5,
        "cost_agent_autoscaler_cpu_window_s": 3,
    }
    site = BusySite(tmp_path_factory.mktemp("busy"), demo_stack, settings)
    inventory = json.loads(site.inventory.read_text())
    [host] = inventory["all"]["children"]["cost_agent"]["hosts"].values()
    host["cost_agent_environment"]["COST_AGENT_FAULTS"] = "1"
    site.inventory.write_text(json.dumps(inventory))
    try:
        run = site.deploy("1.4.1")
        assert run.code == 0, run.output
        yield site
    finally:
        site.play("stop", "-e", "cost_agent_stop_grace_s=5")
        site.close()


def test_the_policy_is_foretold_then_set_and_then_nothing_is_left_to_do(site):
    check = site.autoscale("--check", "--diff")
    assert (check.code, check.changed) == (0, ["Autoscaler"]), check.output
    run = site.autoscale()
    assert (run.code, run.changed) == (0, ["Autoscaler"]), run.output
    again = site.autoscale()
    assert (again.code, again.changed) == (0, [])
    assert sorted(site.serving()) == [0, 1, 2]


def test_a_policy_that_check_mode_foretells_binds_nobody_yet(site):
    check = site.autoscale("--check", "-e", "cost_agent_autoscaler_min=4")
    assert (check.code, check.changed) == (0, ["Autoscaler"]), check.output
    assert check.result_of("agent_autoscaler")["state"]["desired_replicas"] == 4


@pytest.mark.parametrize(
    "options",
    [
        ["-e", "cost_agent_autoscaler_min=3", "-e", "cost_agent_autoscaler_cpu_percent=70"],
        ["-e", '{"cost_agent_autoscaler_min": 3, "cost_agent_autoscaler_scale_down": ""}'],
        ["-e", '{"cost_agent_autoscaler_scale_up": "{}"}'],
    ],
)
def test_the_same_input_in_another_form_is_the_same_policy(site, options):
    run = site.autoscale(*options)
    assert (run.code, run.changed) == (0, []), run.output


def test_replicas_follow_the_load_up_and_down(site):
    site.load(BUSY)
    foretold = site.autoscale("--check")
    assert (foretold.code, foretold.changed) == (0, ["Replicas scaled"]), foretold.output
    assert sorted(site.serving()) == [0, 1, 2]
    run = site.autoscale()
    assert (run.code, run.changed) == (0, ["Replicas scaled"]), run.output
    assert sorted(site.serving()) == [0, 1, 2, 3, 4]

    site.load({})
    held = site.autoscale()
    assert (held.code, held.changed) == (0, []), held.output
    assert "the highest recommendation of the last 300 s holds" in " ".join(held.output.split())
    run = site.autoscale("-e", WITHOUT_DELAY)
    assert (run.code, run.changed) == (0, ["Autoscaler", "Replicas scaled"]), run.output
    assert sorted(site.serving()) == [0, 1, 2]


def test_a_lock_of_another_run_is_left_to_the_next_run(site):
    store, clock = FileStateStore(site.folder / "state"), SystemClock()
    site.autoscale()
    with hold(store, "cost-agent", "deploy", Deadline(clock, 60), clock):
        run = site.autoscale()
    assert (run.code, run.changed) == (0, []), run.output
    assert "'deploy'" in run.output
    with Lease(store, "autoscaler/cost-agent", "autoscale", clock):
        run = site.autoscale()
    assert (run.code, run.changed) == (0, []), run.output


def test_a_count_that_the_policy_would_undo_is_refused(site):
    for count in (2, 6):
        run = site.play("scale", "-e", f"cost_agent_replicas={count}")
        assert (run.code, run.changed) == (2, [])
        assert run.result_of("agent")["reason"] == "precondition"
        assert "autoscale.yml" in run.result_of("agent")["msg"]


def test_a_bad_policy_fails_the_run(site):
    run = site.autoscale("-e", "cost_agent_autoscaler_max=2")
    assert (run.code, run.changed) == (2, [])
    assert run.result_of("agent_autoscaler")["reason"] == "invalid_input"


def test_an_agent_that_is_stopped_on_purpose_stays_stopped(site):
    assert site.play("stop").code == 0
    run = site.autoscale()
    assert (run.code, run.changed) == (0, []), run.output
    assert "stopped on purpose" in run.output
    assert site.serving() == {}


def test_without_a_policy_any_count_goes(site):
    run = site.autoscale("-e", "cost_agent_autoscaler_state=absent")
    assert (run.code, run.changed) == (0, ["Autoscaler"]), run.output
    run = site.play("start", "-e", "cost_agent_replicas=1")
    assert run.code == 0, run.output
    assert sorted(site.serving()) == [0]
