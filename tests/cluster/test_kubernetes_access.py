# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""By which ways a cluster is reached, and that no credential is left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.health.health_info import (
    HEALTH_INFO,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.kubernetes.connection import (
    Connection,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.kubernetes.options import (
    ClusterAccess,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.tuning.load.load_test import (
    LOAD_TEST,
)

from tests.cluster.kubernetes_platform import KubernetesPlatform
from tests.component.operations import run_operation
from tests.component.playbook_run import CHECKOUT
from tests.component.process_platform import as_ordinary_user


@pytest.fixture
def platform(own_cluster, tmp_path):
    running = KubernetesPlatform(own_cluster, tmp_path)
    running.deploy("1.4.1")
    yield running
    running.close()


def succeeded(outcome):
    assert not outcome.get("failed"), outcome["msg"]
    return outcome


def test_a_pod_is_known_by_its_service_account(platform, tmp_path):
    """As in a pod of AWX: nothing is given, and the files are where the kubelet puts them."""
    config = json.loads(platform.kubeconfig.read_text())
    certificate = config["clusters"][0]["cluster"]["certificate-authority-data"]
    token = str(tmp_path / "token")
    (tmp_path / "token").write_text(platform.token())
    server = urlsplit(platform.cluster_server())
    place = "/run/secrets/kubernetes.io/serviceaccount"
    script = (
        "mkdir -p /run/secrets && mount -t tmpfs none /run/secrets && mkdir -p $2 && "
        'cp "$1" $2/token && printf %s "$3" | base64 -d > $2/ca.crt && shift 3 && exec "$@"'
    )
    operation = [sys.executable, "-m", "tests.component.operations", "platforms", "agent_info"]
    arguments = {"platform": "kubernetes", "kubernetes": {"namespace": platform.namespace}}
    cleared = ("KUBECONFIG", "K8S_AUTH_KUBECONFIG", "K8S_AUTH_HOST", "K8S_AUTH_CONTEXT")
    environment = {key: value for key, value in os.environ.items() if key not in cleared}
    environment.update(
        HOME=str(tmp_path),
        KUBERNETES_SERVICE_HOST=str(server.hostname),
        KUBERNETES_SERVICE_PORT=str(server.port),
        OPERATION_ARGUMENTS=json.dumps(arguments),
    )
    finished = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", token, place, certificate, *operation],
        env=environment,
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    outcome = succeeded(json.loads(finished.stdout))
    assert outcome["summary"] == "never started, release cost-agent:1.4.1"


def test_no_key_of_a_kubeconfig_is_left_in_a_file(platform, tmp_path, monkeypatch):
    """The administrator's has a client certificate and its key in it."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    option = {"kubeconfig": str(platform.cluster.kubeconfig)}
    succeeded(platform.info(kubernetes=option))
    assert list(scratch.iterdir()) == []


def test_threads_that_read_a_kubeconfig_at_once_do_not_share_its_files(platform):
    """The library keeps one table of files for the whole process."""
    access = ClusterAccess(kubeconfig=str(platform.cluster.kubeconfig))
    together = threading.Barrier(8)

    def connect():
        together.wait(30)
        return [Connection(access, "connect").credentials() for _number in range(20)]

    with ThreadPoolExecutor(8) as threads:
        runs = [threads.submit(connect) for _number in range(8)]
        found = [credentials for run in runs for credentials in run.result(60)]
    assert found[0].client_key
    assert set(found) == {found[0]}


def test_the_variables_of_kubernetes_core_lead_to_the_cluster(platform, monkeypatch):
    monkeypatch.setenv("K8S_AUTH_KUBECONFIG", str(platform.kubeconfig))
    platform.connection = {}
    assert succeeded(platform.info())["summary"] == "never started, release cost-agent:1.4.1"


def test_a_context_that_is_not_there_is_named(platform):
    option = {"kubeconfig": str(platform.kubeconfig), "context": "nowhere"}
    outcome = platform.info(kubernetes=option)
    assert outcome["reason"] == "invalid_input"
    assert "nowhere" in outcome["msg"]


@pytest.mark.parametrize("text", ["", "{", "a: [", "apiVersion: v1\nkind: Config\n"])
def test_a_kubeconfig_that_cannot_be_used_is_invalid_input(platform, tmp_path, text):
    broken = tmp_path / "broken.kubeconfig"
    broken.write_text(text)
    outcome = platform.info(kubernetes={"kubeconfig": str(broken)})
    assert outcome["reason"] == "invalid_input"
    assert str(broken) in outcome["msg"]


def test_replicas_out_of_reach_are_asked_through_the_api_server(platform, tmp_path):
    """Their health and a load too, by credentials that are in no result."""
    succeeded(platform.agent())
    reached = succeeded(platform.info())["state"]["replicas"]
    assert {replica["via"] for replica in reached} == {"pod address"}
    server, token = platform.cluster_server(), platform.token()
    by_token = {"host": server, "api_key": token, "validate_certs": False}
    platform.connection = by_token
    # Only for a user of its own: the kubelet has to reach the pods.
    rule = ["OUTPUT", "-p", "tcp", "--dport", "8001", "-m", "owner", "--uid-owner", "65534"]
    subprocess.run(["iptables", "-I", *rule, "-j", "DROP"], check=True)
    try:
        seen = succeeded(as_ordinary_user(tmp_path, platform.info))["state"]
    finally:
        subprocess.run(["iptables", "-D", *rule, "-j", "DROP"], check=True)
    assert {replica["via"] for replica in seen["replicas"]} == {"API server"}
    outcome = run_operation(
        HEALTH_INFO, targets=seen["targets"], basic_path="/api/v1/ready", kubernetes=by_token
    )
    assert [each["api"]["verdict"] for each in api_of(outcome)] == ["healthy"] * 3
    load = run_operation(
        LOAD_TEST,
        targets=seen["targets"],
        path="/api/v1/ready",
        rate=30,
        duration_s=2,
        kubernetes=by_token,
    )
    assert (load["state"]["requests"], load["state"]["failed"]) == (60, 0), load
    assert token not in json.dumps([seen, outcome, load])


def api_of(outcome):
    return [replica["indicators"] for replica in outcome["state"]["replicas"]]


def test_credentials_go_to_no_other_server(platform):
    target = {"url": "https://127.0.0.1:1/api/v1/namespaces/x/pods/y:8001/proxy"}
    outcome = run_operation(
        HEALTH_INFO, targets=[target], kubernetes={"kubeconfig": str(platform.kubeconfig)}
    )
    assert outcome["reason"] == "invalid_input"
    assert "does not lead through the API server" in outcome["msg"]
