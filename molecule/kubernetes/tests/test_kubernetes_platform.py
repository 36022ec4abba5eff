"""What a deploy leaves on the cluster, seen from outside the collection."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

HOME = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"]) / ".cache/molecule/kubernetes"
NEW, OLD = "cost-agent:1.4.2", "cost-agent:1.4.1"
REPLICAS = 2
GET = "kubectl get --namespace=cost-agent-molecule --output=json %s"


@pytest.fixture
def get(host):
    def objects(what):
        found = json.loads(host.check_output(GET, what))
        return found["items"] if found["kind"] == "List" else found

    return objects


@pytest.fixture
def pods(get):
    return [pod for pod in get("pods") if "deletionTimestamp" not in pod["metadata"]]


@pytest.fixture
def password():
    servers = json.loads((HOME / "stack/stack.json").read_text())
    return Path(servers["postgres"]["password_file"]).read_text().strip()


def health_of(host, address):
    url = f"http://{address}:8001/api/v1/health/detailed"
    health = json.loads(host.check_output("curl -fsS --noproxy '*' %s", url))
    return health["status"], health["release"]


def test_every_replica_is_ready_and_serves_the_new_release(host, pods):
    assert len(pods) == REPLICAS
    for pod in pods:
        conditions = {each["type"]: each["status"] for each in pod["status"]["conditions"]}
        assert conditions["Ready"] == "True"
        assert health_of(host, pod["status"]["podIP"]) == ("healthy", NEW)


def test_the_service_leads_to_them(host, get):
    address = get("service/cost-agent")["spec"]["clusterIP"]
    assert health_of(host, address) == ("healthy", NEW)


def test_a_replica_runs_without_rights_and_within_its_limits(pods):
    for pod in pods:
        [container] = pod["spec"]["containers"]
        assert pod["spec"]["securityContext"]["runAsNonRoot"]
        assert pod["spec"]["automountServiceAccountToken"] is False
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert container["securityContext"]["capabilities"]["drop"] == ["ALL"]
        assert container["resources"]["limits"]["memory"] == "256Mi"


def test_the_release_before_is_kept_to_go_back_to(get):
    images = [
        each["spec"]["template"]["spec"]["containers"][0]["image"] for each in get("replicasets")
    ]
    assert OLD in images


def test_a_drained_node_takes_one_replica_at_a_time(get):
    budget = get("poddisruptionbudget/cost-agent")
    assert budget["spec"]["maxUnavailable"] == 1
    assert budget["status"]["currentHealthy"] == REPLICAS


def test_no_secret_stands_in_the_workload(get, pods, password):
    assert password not in json.dumps([get("deployment/cost-agent"), get("replicasets"), pods])
    assert password not in json.dumps(get("configmaps"))


def test_no_secret_is_on_disk(password):
    kept = [path for path in HOME.glob("state/**/*") if path.is_file()]
    assert kept
    assert not [path for path in kept if password in path.read_text()]
