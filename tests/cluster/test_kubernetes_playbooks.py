# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guide's operations by the playbooks, on real pods of the real agent, as the operator."""

from __future__ import annotations

import json
import re
import secrets
from pathlib import Path

import pytest
import yaml

from tests.cluster import agent_workload
from tests.cluster.kubernetes_platform import ACCOUNT, OPERATOR
from tests.component.agent_site import PLANTED_SECRET
from tests.component.playbook_run import CHECKOUT, run_playbook

pytestmark = pytest.mark.timeout(600)

FIRST, SECOND = "cost-agent:1.4.1", "cost-agent:1.4.2"


class KubernetesSite:
    """The shipped inventory's agent in a namespace of its own, with an operator's token."""

    def __init__(self, cluster, stack, folder: Path) -> None:
        self.cluster = cluster
        self.folder = folder
        self.namespace = f"site-{secrets.token_hex(3)}"
        cluster.kubectl("create", "namespace", self.namespace)
        operator = list(yaml.safe_load_all(OPERATOR.read_text()))
        for document in operator:
            document["metadata"]["namespace"] = self.namespace
        cluster.apply_in(self.namespace, *operator)
        kubeconfig = folder / "operator.kubeconfig"
        cluster.acting_as(self.namespace, ACCOUNT, kubeconfig)
        values = agent_workload.secret(stack)["stringData"]
        hidden = {"API_TOKEN": PLANTED_SECRET}
        hidden.update({key: values.pop(key) for key in ("PGPASSWORD", "REDIS_URL")})
        self.variables = {
            "cost_agent_kubernetes": {
                "kubeconfig": str(kubeconfig),
                "namespace": self.namespace,
            },
            "cost_agent_environment": values,
            "cost_agent_environment_secrets": hidden,
            "cost_agent_image_pull_policy": "IfNotPresent",
            "cost_agent_memory_limit_mb": 256,
            # Other tests share this machine: what is tested is what is asked, not how fast.
            "cost_agent_health_thresholds": {"api_ms": 2000, "database_ms": 2000, "cache_ms": 2000},
            "cost_agent_deploy_soak_s": 1,
        }

    def play(self, playbook: str, *options: str, **variables):
        extra = {**self.variables, **{f"cost_agent_{k}": v for k, v in variables.items()}}
        path = self.folder / "variables.json"
        path.write_text(json.dumps(extra))
        return run_playbook(
            playbook,
            CHECKOUT / "inventories" / "kubernetes",
            self.folder,
            "-e",
            f"@{path}",
            *options,
        )

    def images(self) -> list[str]:
        """What the ready pods run."""
        found = self.cluster.get("pods", f"--namespace={self.namespace}")["items"]
        return [
            pod["spec"]["containers"][0]["image"]
            for pod in found
            if "deletionTimestamp" not in pod["metadata"]
            and any(
                each["type"] == "Ready" and each["status"] == "True"
                for each in pod["status"].get("conditions", [])
            )
        ]

    def close(self) -> None:
        self.cluster.kubectl("delete", "namespace", self.namespace, "--wait=false")


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
