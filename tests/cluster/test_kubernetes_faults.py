# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What clusters, registries and networks do to an operation, on a real API server and kubelet."""

from __future__ import annotations

import base64
import json
import time
from datetime import datetime

import pytest

from tests.cluster.kubernetes_platform import ACCOUNT, KubernetesPlatform
from tests.component.operated_platform import TIMEOUT_S
from tests.waiting import eventually


@pytest.fixture
def platform(cluster, tmp_path):
    running = KubernetesPlatform(cluster, tmp_path)
    yield running
    running.close()


@pytest.fixture
def started(platform):
    platform.deploy("1.4.1")
    succeeded(platform.agent())
    return platform


def succeeded(outcome):
    assert not outcome.get("failed"), outcome["msg"]
    return outcome


def seconds_since(stamp: str) -> float:
    return time.time() - datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()


# --- where and as whom ------------------------------------------------------------------------


def test_an_unknown_namespace_is_said_to_be_unknown(platform):
    kubeconfig = str(platform.cluster.kubeconfig)
    option = {"kubeconfig": kubeconfig, "namespace": "no-such-namespace"}
    outcome = platform.info(kubernetes=option)
    assert outcome["reason"] == "precondition"
    assert "no such namespace" in outcome["msg"]


def test_a_namespace_without_rights_names_user_verb_and_resource(platform):
    outcome = platform.info(kubernetes={"namespace": "kube-public"})
    assert outcome["reason"] == "auth"
    for word in (ACCOUNT, 'cannot get resource "configmaps"', "kube-public"):
        assert word in outcome["msg"]


def test_an_absent_workload_says_how_it_is_made(platform):
    platform.deploy("1.4.1")
    platform.kubectl("delete", "deployment", "cost-agent")
    outcome = platform.agent()
    assert outcome["reason"] == "precondition"
    assert "deploy.yml" in outcome["msg"]


@pytest.mark.parametrize(
    ("group", "resource", "verb"), [("apps", "deployments", "patch"), ("", "secrets", "create")]
)
def test_a_missing_right_is_named_by_verb_and_resource(platform, group, resource, verb):
    platform.deploy("1.4.1")
    role = platform.get("role", ACCOUNT)
    for rule in role["rules"]:
        if resource in rule["resources"]:
            rule["verbs"].remove(verb)
    platform.kubectl("replace", "--filename=-", document=role)
    eventually(lambda: platform.preflight().get("failed"))
    preflight = platform.preflight()
    assert preflight["reason"] == "precondition"
    assert f"{verb} {resource}" in preflight["msg"]
    outcome = platform.agent(environment_secrets={"API_TOKEN": "s3cr3t-words"})
    assert outcome["reason"] == "auth"
    assert f'cannot {verb} resource "{resource}"' in outcome["msg"]
    assert "s3cr3t-words" not in json.dumps(outcome)


def test_an_expired_token_is_said_to_be_expired(platform):
    head, body, signature = platform.token().split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    claims["exp"] = claims["iat"] = 1_000_000_000
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    expired = f"{head}.{body}.{signature}"
    server = platform.cluster_server()
    platform.connection = {"host": server, "api_key": expired, "validate_certs": False}
    outcome = platform.info()
    assert outcome["reason"] == "auth"
    assert "expired at 2001-09-09T01:46:40Z" in outcome["msg"]
    assert signature not in json.dumps(outcome)


def test_an_api_server_that_is_away_is_unreachable_soon(platform):
    platform.connection = {"host": "https://127.0.0.1:1", "api_key": "x"}
    outcome = platform.info()
    assert outcome["reason"] == "unreachable"
    assert "https://127.0.0.1:1" in outcome["msg"]


# --- what does not start ----------------------------------------------------------------------


def test_an_image_that_cannot_be_pulled_is_reported_in_time_with_its_events(started):
    before = started.pids()
    started.deploy("9.9.9")
    outcome = started.agent()
    assert outcome["reason"] == "failed_state"
    assert "ImagePull" in outcome["msg"]
    assert "cost-agent:9.9.9" in outcome["msg"]
    assert any("Failed to pull image" in event for event in outcome["events"])
    assert before.items() <= started.pids().items()
    failed = [
        event["firstTimestamp"]
        for event in started.get("events")["items"]
        if "Failed to pull image" in (event.get("message") or "")
    ]
    assert seconds_since(min(failed)) < TIMEOUT_S / 2
    started.deploy("1.4.1")
    succeeded(started.agent())
    assert started.pids() == before


def test_a_crash_at_start_is_reported_in_time_with_the_log(started):
    started.deploy("crash")
    outcome = started.agent()
    assert outcome["reason"] == "failed_state"
    assert "CrashLoopBackOff" in outcome["msg"]
    assert "no such table: costs" in "\n".join(outcome["log_tail"])
    states = [
        status["lastState"]["terminated"]["finishedAt"]
        for pod in started.pods()
        for status in pod["status"]["containerStatuses"]
        if status.get("lastState", {}).get("terminated")
    ]
    assert seconds_since(min(states)) < TIMEOUT_S / 2


def test_an_environment_secret_is_in_no_log_tail(started):
    started.deploy("crash")
    outcome = started.agent(environment_secrets={"API_TOKEN": "s3cr3t-words"})
    assert any("secret ********" in line for line in outcome["log_tail"])
    assert "s3cr3t-words" not in json.dumps(outcome)
    template = json.dumps(started.workload()["spec"]["template"])
    assert "s3cr3t-words" not in template


def test_an_init_container_that_fails_is_named(started):
    template = {"template": {"spec": {"initContainers": [INIT_CONTAINER]}}}
    started.patch({"spec": template})
    outcome = started.agent()
    assert outcome["reason"] == "failed_state"
    assert "init container migrate" in outcome["msg"]
    assert any("no such column" in line for line in outcome["log_tail"])


INIT_CONTAINER = {
    "name": "migrate",
    "image": "cost-agent:1.4.1",
    "command": ["python3", "-c", "raise SystemExit('no such column')"],
}


def test_a_pod_that_needs_more_cpu_than_there_is_names_it(started):
    container = started.workload()["spec"]["template"]["spec"]["containers"][0]
    container["resources"] = {"requests": {"cpu": "500", "memory": "32Mi"}}
    started.patch({"spec": {"template": {"spec": {"containers": [container]}}}})
    outcome = started.agent()
    assert outcome["reason"] == "failed_state"
    assert "no node has enough cpu left" in outcome["msg"]
    assert outcome["duration"] < TIMEOUT_S / 2


@pytest.mark.alone
def test_a_cordoned_node_is_named(started, own_cluster):
    own_cluster.kubectl("cordon", *own_cluster.nodes)
    try:
        outcome = started.agent(replicas=4)
    finally:
        own_cluster.kubectl("uncordon", *own_cluster.nodes)
    assert outcome["reason"] == "failed_state"
    assert "cordoned" in outcome["msg"]
    succeeded(started.agent(replicas=4))


def test_an_exceeded_quota_is_named_by_preflight_and_by_the_run(started):
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "small"},
        "spec": {"hard": {"pods": "3"}},
    }
    started.kubectl("apply", "--filename=-", document=quota)
    eventually(lambda: (started.get("quota", "small").get("status") or {}).get("used"))
    preflight = started.preflight(replicas=5)
    assert "ResourceQuota small" in preflight["msg"]
    outcome = started.agent(replicas=5)
    assert outcome["reason"] == "failed_state"
    assert "exceeded quota: small" in outcome["msg"]
    assert outcome["duration"] < TIMEOUT_S / 2
    assert len(started.pods()) == 3


def test_readiness_that_comes_and_goes_is_never_stable(started):
    outcome = started.agent(environment={"FLAPS": "1"}, stable_s=6, timeout_s=25)
    assert outcome["reason"] == "timeout"
    assert "its last state was" in outcome["msg"]


def test_a_release_that_is_never_ready_times_out_with_its_state(started):
    before = started.pids()
    started.deploy("never-ready")
    outcome = started.agent(timeout_s=12)
    assert outcome["reason"] == "timeout"
    assert "it is not ready" in outcome["msg"]
    assert any("Readiness probe failed" in event for event in outcome["events"])
    assert outcome["log_tail"]
    assert before.items() <= started.pids().items()


@pytest.mark.alone
def test_a_tag_that_was_moved_is_found_by_its_digest(started, own_cluster):
    succeeded(started.record_good())
    node = own_cluster.home.node(1)
    from tests.images import archives

    try:
        node.containerd.import_image(archives()["rebuilt"])
        outcome = started.agent("restarted")
    finally:
        node.containerd.import_image(archives()["releases"])
    assert outcome["reason"] == "integrity"
    assert "was moved" in outcome["msg"]
    succeeded(started.agent("restarted"))


# --- who else has a say -----------------------------------------------------------------------


def test_a_paused_workload_is_refused_and_resumed_by_force(started):
    started.kubectl("rollout", "pause", "deployment/cost-agent")
    outcome = started.agent("restarted")
    assert outcome["reason"] == "precondition"
    assert "paused" in outcome["msg"]
    succeeded(started.agent("restarted", kubernetes={"force": True}))
    assert "paused" not in started.workload()["spec"]


@pytest.mark.parametrize(
    ("metadata", "owner"),
    [
        (
            {"annotations": {"argocd.argoproj.io/tracking-id": "costs:apps/Deployment:x/y"}},
            "Argo CD's application costs",
        ),
        ({"labels": {"kustomize.toolkit.fluxcd.io/name": "costs"}}, "Flux's Kustomization"),
        ({"annotations": {"meta.helm.sh/release-name": "costs"}}, "Helm's release costs"),
    ],
)
def test_a_workload_of_another_owner_is_refused_and_unchanged_is_fine(started, metadata, owner):
    started.patch({"metadata": metadata})
    assert not succeeded(started.agent())["changed"]
    outcome = started.agent(replicas=4)
    assert outcome["reason"] == "precondition"
    assert owner in outcome["msg"]
    succeeded(started.agent(replicas=4, kubernetes={"force": True}))


def autoscaler(least: int, most: int) -> dict:
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "cost-agent"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "cost-agent"},
            "minReplicas": least,
            "maxReplicas": most,
        },
    }


def test_a_count_moves_the_least_of_an_autoscaler_and_never_its_policy(started):
    started.kubectl("apply", "--filename=-", document=autoscaler(3, 5))

    def bounds():
        spec = started.get("hpa", "cost-agent")["spec"]
        return spec["minReplicas"], spec["maxReplicas"]

    outcome = started.agent(replicas=6)
    assert outcome["reason"] == "precondition"
    assert "its maximum is 5" in outcome["msg"]
    assert outcome["state"]["autoscaler"]["max_replicas"] == 5
    assert "its minimum is 3" in started.agent(replicas=2)["msg"]
    assert len(succeeded(started.agent(replicas=4))["state"]["replicas"]) == 4
    assert bounds() == (4, 5)
    assert not succeeded(started.agent(replicas=4))["changed"]
    assert succeeded(started.agent(replicas=3))["changed"]
    assert bounds() == (3, 5)
    succeeded(started.agent(replicas=6, kubernetes={"adjust_autoscaler": True}))
    assert bounds() == (6, 6)


def test_a_disruption_budget_that_blocks_is_told_and_holds_no_rollout_up(started):
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "all"},
        "spec": {"minAvailable": 3, "selector": {"matchLabels": {"app": "cost-agent"}}},
    }
    started.kubectl("apply", "--filename=-", document=budget)
    eventually(lambda: (started.get("pdb", "all").get("status") or {}).get("currentHealthy") == 3)
    checks = succeeded(started.preflight())["state"]["checks"]
    assert any("PodDisruptionBudget all allows 0 evictions" in check["seen"] for check in checks)
    assert succeeded(started.agent("restarted"))["summary"] == "3 of 3, none below 3 ready"
