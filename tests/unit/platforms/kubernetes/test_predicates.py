# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the status of a workload and its pods means; the documents are a real server's, shortened."""

from __future__ import annotations

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.kubernetes.pods import (
    VIA_POD,
    VIA_SERVER,
    Way,
    epoch,
    image_id,
    replica_of,
    serving_port,
    slim,
    template_hash,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.kubernetes.predicates import (
    pod_trouble,
    rollout_progress,
    workload_trouble,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.kubernetes.usage import (
    usage_of,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.kubernetes.workload import (
    Workload,
    selector_text,
)


def workload(kind="Deployment", generation=2, count=3, **status):
    status = {"observedGeneration": 2, **status}
    metadata = {"name": "cost-agent", "namespace": "optiinfra", "generation": generation}
    spec = {"replicas": count, "template": {}}
    return Workload(kind, {"metadata": metadata, "spec": spec, "status": status})


ALL = {"replicas": 3, "updatedReplicas": 3, "readyReplicas": 3, "availableReplicas": 3}


@pytest.mark.parametrize(
    ("status", "seen"),
    [
        ({"observedGeneration": 1, **ALL}, "its controller has not seen the change yet"),
        ({**ALL, "updatedReplicas": 1}, "1 of 3 replicas are on the new template"),
        ({**ALL, "replicas": 4}, "1 old replicas are still there"),
        ({**ALL, "readyReplicas": 2}, "2 of 3 replicas are ready"),
        ({**ALL, "availableReplicas": 2}, "2 of 3 replicas are available"),
        ({}, "0 of 3 replicas are on the new template"),
    ],
)
def test_a_rollout_says_what_it_still_lacks(status, seen):
    progress = rollout_progress(workload(**status))
    assert not progress.is_done
    assert progress.seen == seen


def test_a_rollout_is_done_when_all_are_updated_available_and_ready():
    assert rollout_progress(workload(**ALL)).is_done
    assert rollout_progress(workload(count=0)).is_done


def test_a_scaled_down_workload_waits_for_the_surplus_to_go():
    five = dict.fromkeys(ALL, 5)
    assert rollout_progress(workload(**five)).seen == "2 replicas too many are still there"


def test_a_stateful_set_counts_all_as_updated_once_they_are():
    done = {"replicas": 3, "readyReplicas": 3, "availableReplicas": 3}
    revisions = {"currentRevision": "cost-agent-1", "updateRevision": "cost-agent-1"}
    assert rollout_progress(workload("StatefulSet", **done, **revisions)).is_done


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        (
            {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"},
            "ProgressDeadlineExceeded",
        ),
        (
            {
                "type": "ReplicaFailure",
                "status": "True",
                "reason": "FailedCreate",
                "message": 'pods "cost-agent-1" is forbidden: exceeded quota: small, used: pods=3',
            },
            "QuotaExceeded",
        ),
        (
            {
                "type": "ReplicaFailure",
                "status": "True",
                "reason": "FailedCreate",
                "message": "admission webhook denied the request",
            },
            "FailedCreate",
        ),
        ({"type": "ReplicaFailure", "status": "False"}, None),
        ({"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated"}, None),
    ],
)
def test_what_a_controller_cannot_do_is_trouble(condition, reason):
    trouble = workload_trouble(workload(conditions=[condition]))
    assert (trouble.reason if trouble else None) == reason


def test_what_a_controller_said_of_an_earlier_template_is_none():
    condition = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    assert workload_trouble(workload(generation=3, conditions=[condition])) is None


def pod(phase="Running", conditions=(), container=None, init=None, **status):
    states = [{"name": "cost-agent", **container}] if container else []
    init_states = [{"name": "migrate", **init}] if init else []
    return {
        "metadata": {
            "name": "cost-agent-1",
            "uid": "u",
            "labels": {"pod-template-hash": "abc"},
        },
        "spec": {
            "nodeName": "node1",
            "containers": [
                {
                    "name": "cost-agent",
                    "image": "cost-agent:1.4.1",
                    "ports": [{"name": "http", "containerPort": 8001}],
                    "resources": {"limits": {"cpu": "500m", "memory": "128Mi"}},
                }
            ],
        },
        "status": {
            "phase": phase,
            "podIP": "10.244.0.9",
            "startTime": "2025-01-23T10:00:00Z",
            "conditions": list(conditions),
            "containerStatuses": states,
            "initContainerStatuses": init_states,
            **status,
        },
    }


def waiting(reason, message=""):
    return {"state": {"waiting": {"reason": reason, "message": message}}, "restartCount": 0}


UNSCHEDULABLE = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory. preemption: "
    "0/1 nodes are available: 1 No preemption victims found for incoming pod.",
}
CORDONED = {
    **UNSCHEDULABLE,
    "message": "0/1 nodes are available: 1 node(s) were unschedulable. preemption: none.",
}
CRASHED = {
    "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}},
    "lastState": {"terminated": {"exitCode": 3, "reason": "Error"}},
    "restartCount": 2,
}
OUT_OF_MEMORY = {
    **CRASHED,
    "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
}


@pytest.mark.parametrize(
    ("found", "reason", "words"),
    [
        (pod(container=waiting("ImagePullBackOff", "Back-off")), "ImagePullBackOff", "Back-off"),
        (pod(container=waiting("ErrImagePull", "not found")), "ErrImagePull", "not found"),
        (pod(container=waiting("InvalidImageName")), "InvalidImageName", "cost-agent"),
        (
            pod(container=waiting("CreateContainerConfigError", 'secret "x" not found')),
            "CreateContainerConfigError",
            'secret "x" not found',
        ),
        (pod(container=CRASHED), "CrashLoopBackOff", "ended with exit code 3, after 2 restarts"),
        (pod(container=OUT_OF_MEMORY), "CrashLoopBackOff", "OOMKilled"),
        (pod("Pending", init=CRASHED), "CrashLoopBackOff", "init container migrate"),
        (pod("Pending", [UNSCHEDULABLE]), "Unschedulable", "enough cpu and memory left"),
        (pod("Pending", [CORDONED]), "Unschedulable", "a node is cordoned"),
        (pod("Failed", reason="Evicted", message="low on memory"), "Evicted", "low on memory"),
    ],
)
def test_what_keeps_a_pod_from_starting_is_named(found, reason, words):
    trouble = pod_trouble(found)
    assert trouble is not None
    assert trouble.reason == reason
    assert words in trouble.seen
    assert trouble.grace_s < 10


@pytest.mark.parametrize(
    "found",
    [
        pod("Pending", container=waiting("ContainerCreating")),
        pod("Pending", container=waiting("PodInitializing")),
        pod(container={"state": {"running": {"startedAt": "2025-01-23T10:00:01Z"}}}),
        pod("Pending"),
    ],
)
def test_what_only_takes_its_time_is_no_trouble(found):
    assert pod_trouble(found) is None


READY = {"type": "Ready", "status": "True"}
RUNNING = {"state": {"running": {"startedAt": "2025-01-23T10:00:05Z"}}, "restartCount": 0}


@pytest.mark.parametrize(
    ("found", "status", "note"),
    [
        (pod(conditions=[READY], container=RUNNING), "ready", ""),
        (pod(container=RUNNING), "running", "its readiness probe has not passed"),
        (pod(container=CRASHED), "stopped", "CrashLoopBackOff"),
        (pod("Pending", container=waiting("ContainerCreating")), "stopped", "ContainerCreating"),
        (
            pod(conditions=[READY], container={**RUNNING, "restartCount": 1}),
            "ready",
            "1 restart",
        ),
    ],
)
def test_a_pod_is_a_replica(found, status, note):
    replica = replica_of(slim(found), "cost-agent", True, Way(None, "optiinfra"), 8001)
    assert (replica.name, replica.status) == ("cost-agent-1", status)
    assert replica.release == "cost-agent:1.4.1"
    assert replica.note.startswith(note)
    assert bool(replica.note) == bool(note)


def test_a_replica_says_how_it_is_reached():
    found = pod(conditions=[READY], container=RUNNING)
    own = replica_of(found, "cost-agent", True, Way(None, "optiinfra"), 8001)
    assert (own.url, own.via) == ("http://10.244.0.9:8001", VIA_POD)
    proxied = replica_of(found, "cost-agent", True, Way("https://api:6443", "optiinfra"), 8001)
    assert proxied.via == VIA_SERVER
    assert proxied.url == (
        "https://api:6443/api/v1/namespaces/optiinfra/pods/cost-agent-1:8001/proxy"
    )


def test_a_pod_of_an_older_template_says_so():
    found = pod(conditions=[READY], container=RUNNING)
    replica = replica_of(found, "cost-agent", False, Way(None, "optiinfra"), 8001)
    assert not replica.up_to_date
    assert replica.note == "of an older template"


def test_usage_is_measured_against_the_limits():
    metrics = {
        "window": "15.4s",
        "containers": [
            {"name": "cost-agent", "usage": {"cpu": "125000000n", "memory": "65536Ki"}},
            {"name": "sidecar", "usage": {"cpu": "1", "memory": "1Gi"}},
        ],
    }
    now = epoch("2025-01-23T10:01:05Z")
    usage = usage_of(pod(container=RUNNING), "cost-agent", metrics, now)
    assert usage.memory_bytes == 64 * 1024 * 1024
    assert usage.memory_limit_bytes == 128 * 1024 * 1024
    assert usage.cpu_percent == 25.0
    assert (usage.cpu_limit_cores, usage.cpu_window_s, usage.uptime_s) == (0.5, 15.4, 60.0)
    assert usage_of(pod(container=RUNNING), "cost-agent", None, now) is None


@pytest.mark.parametrize(
    ("ports", "asked", "port"),
    [
        ([{"name": "metrics", "containerPort": 9000}, {"name": "http", "containerPort": 8}], 1, 8),
        ([{"containerPort": 9000}], 1, 9000),
        ([], 7000, 7000),
        ([], None, 8001),
    ],
)
def test_the_port_is_the_one_called_http_else_the_first(ports, asked, port):
    assert serving_port({"ports": ports}, asked) == port


@pytest.mark.parametrize(
    ("text", "digest"),
    [
        ("registry/cost-agent@sha256:abc", "sha256:abc"),
        ("docker-pullable://registry/cost-agent@sha256:abc", "sha256:abc"),
        ("sha256:abc", "sha256:abc"),
        ("", ""),
    ],
)
def test_the_digest_of_what_runs_is_read_from_any_engine(text, digest):
    assert image_id(pod(container={**RUNNING, "imageID": text}), "cost-agent") == digest


def test_a_pod_knows_its_template_by_either_label():
    assert template_hash(pod()) == "abc"
    stateful = {"metadata": {"labels": {"controller-revision-hash": "cost-agent-5"}}}
    assert template_hash(stateful) == "cost-agent-5"


def test_a_selector_is_written_as_a_query():
    selector = {
        "matchLabels": {"app": "cost-agent"},
        "matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["a", "b"]},
            {"key": "old", "operator": "DoesNotExist"},
        ],
    }
    assert selector_text(selector) == "app=cost-agent,tier in (a,b),!old"
