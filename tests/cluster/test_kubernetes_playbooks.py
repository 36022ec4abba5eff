# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guide's operations by the playbooks, on real pods of the real agent, as the operator."""

from __future__ import annotations

import re

import pytest

from tests.cluster.kubernetes_site import KubernetesSite
from tests.component.agent_site import PLANTED_SECRET

FIRST, SECOND = "cost-agent:1.4.1", "cost-agent:1.4.2"


@pytest.fixture
def site(own_cluster, pod_stack, tmp_path):
    running = KubernetesSite(own_cluster, pod_stack, tmp_path)
    yield running
    running.close()


def succeeded(run):
    assert run.code == 0, run.output
    return run


def test_deploy_scale_upgrade_rollback_stop_and_start(site):
    succeeded(site.play("deploy", "--check", "--diff", release=FIRST))
    assert site.images() == []
    first = succeeded(site.play("deploy", release=FIRST))
    assert site.images() == [FIRST] * 3
    assert PLANTED_SECRET not in first.output
    assert succeeded(site.play("deploy", release=FIRST)).changed == []

    scaled = succeeded(site.play("scale", replicas=5)).result_of("agent")
    assert "5 of 5 ready" in scaled["summary"]
    succeeded(site.play("scale", replicas=3))

    restarted = succeeded(site.play("restart")).result_of("agent")
    assert restarted["summary"] == "3 of 3, none below 3 ready"

    upgrade = succeeded(site.play("deploy", release=SECOND, deploy_canary_s=1))
    assert site.images() == [SECOND] * 3
    assert re.search(r"canary", upgrade.output, re.I)

    succeeded(site.play("rollback", rollback_to=FIRST))
    assert site.images() == [FIRST] * 3

    logs = succeeded(site.play("logs", log_lines=5)).result_of("agent_logs_info")
    assert len(logs["state"]["replicas"]) == 3
    assert "remembered" in succeeded(site.play("stop")).result_of("agent")["summary"]
    assert succeeded(site.play("stop")).changed == []
    started = succeeded(site.play("start"))
    assert site.images() == [FIRST] * 3
    assert PLANTED_SECRET not in started.output


def test_a_release_that_crashes_is_taken_back_with_both_stories(site):
    succeeded(site.play("deploy", release=FIRST))
    failed = site.play("deploy", release="cost-agent:crash")
    assert failed.code != 0
    assert "cannot read its price list" in failed.output
    assert "was brought back and is healthy" in failed.output
    assert site.images() == [FIRST] * 3
    assert PLANTED_SECRET not in failed.output


def test_an_environment_that_the_agent_does_not_start_with_is_taken_back(site):
    succeeded(site.play("deploy", release=FIRST))
    wrong = {**site.variables["cost_agent_environment"], "DB_POOL_TIMEOUT": "soon"}
    failed = site.play("deploy", release=FIRST, environment=wrong)
    assert failed.code != 0
    assert "DB_POOL_TIMEOUT" in failed.output
    assert "was brought back and is healthy" in " ".join(failed.output.split())
    assert site.images() == [FIRST] * 3
    assert succeeded(site.play("deploy", release=FIRST)).changed == []


def test_what_the_manifest_alone_changes_is_rolled_out_canary_first_and_taken_back(site):
    succeeded(site.play("deploy", release=FIRST))
    revisions = site.revisions()
    # Less than the agent needs to start: one pod is lost, and no other touched.
    before = site.pods()
    least = {"memory_limit_mb": 12, "requests": {"cpu": "10m", "memory": "8Mi"}}
    failed = site.play("deploy", release=FIRST, **least)
    assert failed.code != 0
    assert "was brought back and is healthy" in " ".join(failed.output.split()), failed.output
    assert site.pods() == before

    changed = succeeded(site.play("deploy", release=FIRST, memory_limit_mb=300, deploy_canary_s=1))
    assert {"Objects", "Canary", "Replicas started"} <= set(changed.changed)
    assert "canary" in changed.output.lower()
    assert not before & site.pods()
    assert len(site.revisions() - revisions) == 2  # the one that failed, and this one
    assert "paused" not in site.workload()["spec"]
    assert succeeded(site.play("deploy", release=FIRST, memory_limit_mb=300)).changed == []


def test_a_migration_runs_as_a_job_before_the_release_is_current(site):
    succeeded(site.play("deploy", release=FIRST))
    program = "import os; print('secret', os.environ['API_TOKEN']); raise SystemExit(4)"
    failed = site.play("deploy", release=SECOND, migration=["python3", "-c", program])
    assert failed.code != 0
    assert "its command failed" in failed.output
    assert PLANTED_SECRET not in failed.output
    assert site.images() == [FIRST] * 3
    done = succeeded(site.play("deploy", release=SECOND, migration=["python3", "-c", "print(1)"]))
    assert "migrated in" in done.output
    assert site.images() == [SECOND] * 3
    jobs = site.cluster.get("jobs", f"--namespace={site.namespace}")["items"]
    assert all("deletionTimestamp" in job["metadata"] for job in jobs)
