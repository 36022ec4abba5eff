# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An API server that is overloaded or cut off, writers that come between, controllers that die.

A fault proxy stands in front of the real API server.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections import Counter
from urllib.parse import urlsplit

import pytest

from tests.cluster.kubernetes_platform import KubernetesPlatform
from tests.component.fault_proxy import (
    Call,
    FaultProxy,
    Hang,
    LoseAnswer,
    ResetResponse,
    Respond,
    Truncate,
)
from tests.component.operated_platform import TIMEOUT_S
from tests.component.operations import start_operation
from tests.waiting import eventually

WORKLOAD = "/deployments/cost-agent"


@pytest.fixture
def platform(own_cluster, tmp_path):
    running = KubernetesPlatform(own_cluster, tmp_path)
    running.deploy("1.4.1")
    yield running
    running.close()


@pytest.fixture
def proxy(platform):
    """In front of the API server; the platform's operations go through it."""
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    port = urlsplit(platform.cluster_server()).port
    with FaultProxy(f"https://127.0.0.1:{port}", tls=trusting) as proxy:
        platform.connection = {"host": proxy.url, "api_key": platform.token()}
        yield proxy


def succeeded(outcome):
    assert not outcome.get("failed"), outcome["msg"]
    return outcome


# --- the API server -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "request_of"),
    [
        (Respond(429, "TooManyRequests", headers={"Retry-After": "1"}), ("PATCH", WORKLOAD)),
        (Respond(500, "InternalError"), ("GET", WORKLOAD)),
        (Respond(503, "ServiceUnavailable"), ("POST", "/configmaps")),
        (ResetResponse(after=10), ("GET", "/pods?")),
        (Truncate(after=100), ("GET", "/pods?")),
        (LoseAnswer(), ("PATCH", WORKLOAD)),
        (LoseAnswer(), ("POST", "/configmaps")),
        (LoseAnswer(), ("DELETE", "/configmaps")),
        (Hang(), ("GET", "/replicasets")),
    ],
    ids=lambda each: type(each).__name__ + str(getattr(each, "status", "")),
)
def test_what_passes_by_itself_is_asked_again(platform, proxy, action, request_of):
    method, path = request_of
    fault = proxy.inject(action, method=method, containing=path)
    outcome = succeeded(platform.agent(kubernetes={"request_timeout_s": 2}))
    assert fault.hits == 1
    assert outcome["summary"] == "3 of 3 ready, release cost-agent:1.4.1"
    proxy.clear()
    assert not succeeded(platform.agent())["changed"]


def test_an_api_server_that_stays_overloaded_is_unreachable(platform, proxy):
    proxy.inject(Respond(429, "TooManyRequests"), containing=WORKLOAD, times=None)
    outcome = platform.info()
    assert outcome["reason"] == "unreachable"
    assert "429" in outcome["msg"]


def test_what_the_server_refuses_is_not_asked_again(platform, proxy):
    fault = proxy.inject(Respond(418, "Teapot"), containing=WORKLOAD, times=None)
    outcome = platform.info()
    assert outcome["reason"] == "precondition"
    assert fault.hits == 1


def test_an_api_server_that_restarts_during_a_rollout_is_waited_for(platform, proxy):
    outcome = {}
    proxy.inject(Call(lambda: None), method="PATCH", containing=WORKLOAD)
    patched = proxy.inject(Call(lambda: None), containing="/pods?", skip=2)
    run = threading.Thread(target=lambda: outcome.update(platform.agent()))
    run.start()
    assert patched.met.wait(30)
    with proxy.refusing():
        time.sleep(2)  # a restart that takes two seconds: time is what is tested
    run.join(60)
    assert succeeded(outcome)["summary"] == "3 of 3 ready, release cost-agent:1.4.1"


def test_a_list_is_read_page_by_page_and_again_when_a_page_has_expired(platform, proxy):
    succeeded(platform.agent())
    expired = proxy.inject(Respond(410, "Expired"), containing="/pods?")
    assert succeeded(platform.info())["summary"] == "3 of 3 ready, release cost-agent:1.4.1"
    assert expired.hits == 1
    assert any("limit=" in request for request in proxy.requests if "/pods?" in request)


def test_nothing_is_read_twice_to_decide_or_to_look(platform, proxy):
    succeeded(platform.agent())
    # After it has decided, `agent` waits for what is there already, and tells what came of it.
    for operate, most in ((platform.agent, 3), (platform.info, 1)):
        proxy.clear()
        succeeded(operate())
        objects = [each for each in proxy.requests if each.startswith("GET") and "?" not in each]
        assert max(Counter(objects).values()) <= most, objects


# --- other writers ------------------------------------------------------------------------------


def test_a_writer_that_changes_the_count_meanwhile_is_named(platform, proxy):
    succeeded(platform.agent())
    other = Call(lambda: platform.patch({"spec": {"replicas": 2}}))
    proxy.inject(other, method="PATCH", containing=WORKLOAD)
    outcome = platform.agent(replicas=5)
    assert outcome["reason"] == "precondition"
    assert "kubectl-patch changed spec.replicas to 2 meanwhile" in outcome["msg"]
    assert platform.workload()["spec"]["replicas"] == 2
    assert len(succeeded(platform.agent(replicas=5))["state"]["replicas"]) == 5


def test_a_writer_that_changes_something_else_is_no_conflict(platform, proxy):
    succeeded(platform.agent())
    other = Call(lambda: platform.patch({"metadata": {"annotations": {"team": "costs"}}}))
    fault = proxy.inject(other, method="PATCH", containing=WORKLOAD)
    assert len(succeeded(platform.agent(replicas=4))["state"]["replicas"]) == 4
    assert fault.hits == 1
    assert platform.workload()["metadata"]["annotations"]["team"] == "costs"


def test_a_writer_that_makes_our_change_first_leaves_nothing_to_do(platform, proxy):
    succeeded(platform.agent())
    other = Call(lambda: platform.patch({"spec": {"replicas": 4}}))
    proxy.inject(other, method="PATCH", containing=WORKLOAD)
    assert len(succeeded(platform.agent(replicas=4))["state"]["replicas"]) == 4


# --- controllers that are killed ----------------------------------------------------------------


def killed_at(platform, proxy, method, path, skip=0, **arguments):
    """The agent operation in a process of its own, killed when the server has this request."""
    fault = proxy.inject(Hang(), method=method, containing=path, skip=skip)
    connection = {"namespace": platform.namespace, **platform.connection}
    running = start_operation(
        "platforms",
        "agent",
        platform="kubernetes",
        kubernetes=connection,
        **{"replicas": 3, "timeout_s": TIMEOUT_S, **arguments},
    )
    is_met = fault.met.wait(90)  # longer than the operation is given
    printed = running.kill()
    assert is_met, f"{method} {path} never came:\n{printed}\n{proxy.requests[-20:]}"
    proxy.clear()


SCALE, RESTART, STOP = {"replicas": 5}, {"state": "restarted"}, {"state": "stopped"}
CANARY = {"canary": True}


@pytest.mark.parametrize(
    ("method", "path", "skip", "arguments"),
    [
        ("POST", "/configmaps", 0, SCALE),  # the lock
        ("PUT", "/configmaps", 0, SCALE),  # the intent
        ("POST", "/configmaps", 1, RESTART),  # the environment
        ("PATCH", WORKLOAD, 0, SCALE),
        ("PATCH", WORKLOAD, 0, RESTART),
        ("PATCH", WORKLOAD, 0, CANARY),
        ("PATCH", WORKLOAD, 0, STOP),
        ("GET", "/pods?", 3, STOP),  # the wait
        ("GET", "/pods?", 3, RESTART),
        ("PUT", "/configmaps", 0, RESTART),  # the record of what was rolled out
        ("DELETE", "/configmaps", 0, SCALE),  # the lock, again
    ],
    ids=lambda each: next(iter(each.values())) if isinstance(each, dict) else None,
)
def test_the_run_after_a_kill_brings_what_was_asked_for(
    platform, proxy, method, path, skip, arguments
):
    succeeded(platform.agent(environment={"POOL": 1}))
    if "canary" in arguments:
        platform.deploy("1.4.2")
    killed_at(platform, proxy, method, path, skip, environment={"POOL": 2}, **arguments)
    outcome = succeeded(platform.agent(**arguments, environment={"POOL": 2}))
    if arguments.get("state") == "stopped":
        assert platform.pods() == []
        return
    if "canary" in arguments:
        releases = sorted(replica["release"] for replica in outcome["state"]["replicas"])
        assert releases == ["cost-agent:1.4.1"] * 3 + ["cost-agent:1.4.2"]
        outcome = succeeded(platform.agent())
    count = arguments.get("replicas", 3)
    assert [replica["status"] for replica in outcome["state"]["replicas"]] == ["ready"] * count
    spec = platform.workload()["spec"]
    assert spec.get("minReadySeconds", 0) == 0
    assert spec["progressDeadlineSeconds"] == 600
    assert not succeeded(platform.agent(replicas=count))["changed"]


def test_a_brake_that_a_killed_run_left_is_released_by_the_next(platform, proxy):
    succeeded(platform.agent())
    platform.deploy("1.4.2")
    killed_at(platform, proxy, "GET", "/pods?", skip=2, canary=True)
    assert platform.workload()["spec"]["minReadySeconds"] > 1_000_000
    outcome = succeeded(platform.agent())
    assert "Released the brake of the canary" in outcome["actions"]
    assert {replica["release"] for replica in outcome["state"]["replicas"]} == {"cost-agent:1.4.2"}
    workload = platform.workload()
    assert workload["spec"].get("minReadySeconds", 0) == 0
    assert not any("canary" in key for key in workload["metadata"]["annotations"])


def test_a_canary_that_fails_is_taken_back_with_its_brake(platform):
    succeeded(platform.agent())
    succeeded(platform.record_good())
    before = platform.pids()
    platform.deploy("crash")
    assert platform.agent(canary=True)["reason"] == "failed_state"
    succeeded(platform.roll_back())
    outcome = succeeded(platform.agent())
    assert platform.pids() == before
    assert outcome["summary"].startswith("3 of 3")
    assert platform.workload()["spec"].get("minReadySeconds", 0) == 0


def test_two_runs_at_once_do_not_cross(platform):
    outcomes = []
    runs = [
        threading.Thread(target=lambda n=n: outcomes.append(platform.agent(replicas=n)))
        for n in (2, 4)
    ]
    for run in runs:
        run.start()
    for run in runs:
        run.join(120)
    for outcome in outcomes:
        succeeded(outcome)
    eventually(lambda: len(platform.pods()) == platform.workload()["spec"]["replicas"])
    assert platform.info()["state"]["intent"]["replicas"] == len(platform.pods())
