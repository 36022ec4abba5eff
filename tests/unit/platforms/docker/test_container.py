# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read out of the engine's answers: state, ends, ports, usage, labels, progress."""

from __future__ import annotations

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.errors import (
    Reason,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.agent_options import (
    Serving,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.docker.container import (
    ended_words,
    epoch_s,
    parse_container,
    unready_words,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.docker.creation import (
    creation,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.docker.labels import (
    Ownership,
    environment_of,
    labels_of,
    specification_of,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.docker.options import (
    ContainerOptions,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.docker.ports import (
    publishers,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.docker.pull import (
    PullProgress,
    registry_failure,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.docker.usage import (
    usage_of,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.environment import (
    Environment,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.protocol import (
    Specification,
)


def seen(state=None, config=None, host=None, **more):
    """An answer to inspect, of a container that runs."""
    return {
        "Id": "c1",
        "Name": "/cost-agent-1",
        "Image": "sha256:a1",
        "Created": "2026-01-23T10:00:00.123456789Z",
        "State": {"Status": "running", "Pid": 7, "ExitCode": 0, **(state or {})},
        "Config": {"Image": "cost-agent:1.4.2", "Labels": None, "Env": None, **(config or {})},
        "HostConfig": {"NanoCpus": 0, **(host or {})},
        **more,
    }


def test_times_with_nanoseconds_and_zones_are_seconds_since_the_epoch():
    assert epoch_s("2026-01-23T10:00:00.123456789Z") == pytest.approx(1769162400.123456)
    assert epoch_s("2026-01-23T12:00:00+02:00") == 1769162400
    assert epoch_s("0001-01-01T00:00:00Z") is None
    assert epoch_s("") is None


def test_the_port_is_the_one_that_the_agents_port_is_published_on():
    bindings = {
        "9000/tcp": [{"HostIp": "", "HostPort": "19000"}],
        "8001/tcp": [{"HostIp": "127.0.0.1", "HostPort": "18001"}],
    }
    container = parse_container(seen(host={"PortBindings": bindings}), 8001)
    assert (container.host_address, container.host_port) == ("127.0.0.1", 18001)


def test_a_port_that_the_engine_chose_is_told_by_its_networks():
    ports = {"8001/tcp": [{"HostIp": "0.0.0.0", "HostPort": "49153"}]}
    bindings = {"8001/tcp": [{"HostIp": "", "HostPort": ""}]}
    answer = seen(host={"PortBindings": bindings}, NetworkSettings={"Ports": ports})
    assert parse_container(answer, 8001).host_port == 49153


@pytest.mark.parametrize(
    ("state", "restarts", "words"),
    [
        ({"Status": "exited", "ExitCode": 3}, 0, "it ended with exit code 3"),
        (
            {"Status": "exited", "ExitCode": 137, "OOMKilled": True},
            0,
            "it ended with exit code 137, killed for lack of memory",
        ),
        (
            {"Status": "restarting", "ExitCode": 1},
            4,
            "it ended with exit code 1, and the engine restarted it 4 times",
        ),
        (
            {"Status": "created", "Error": "port is already allocated"},
            0,
            "it was created and did not start: port is already allocated",
        ),
    ],
)
def test_how_a_container_ended_is_said_in_words(state, restarts, words):
    assert ended_words(parse_container(seen(state, RestartCount=restarts))) == words


def test_what_the_healthcheck_says_is_shown():
    health = {"Status": "unhealthy", "Log": [{"Output": "old"}, {"Output": "x\n503 database\n"}]}
    words = unready_words(parse_container(seen({"Health": health})))
    assert words == ["its HEALTHCHECK fails: 503 database"]
    assert unready_words(parse_container(seen({"Health": {"Status": "healthy"}}))) == []
    assert unready_words(parse_container(seen({"Status": "paused"})))


# --- usage ------------------------------------------------------------------------------------


def reading(**memory):
    cpu = {"cpu_usage": {"total_usage": 2_500_000_000}}
    return {"read": "2026-01-23T10:01:00Z", "memory_stats": memory, "cpu_stats": cpu}


@pytest.mark.parametrize("field", ["total_inactive_file", "inactive_file"])
def test_memory_is_without_the_page_cache_on_both_cgroups(field):
    usage = usage_of(reading(usage=300, limit=1000, stats={field: 100}), 1769162400.0, 0.5)
    assert (usage.memory_bytes, usage.memory_limit_bytes) == (200, 1000)
    assert (usage.cpu_seconds, usage.uptime_s, usage.cpu_limit_cores) == (2.5, 60.0, 0.5)


def test_a_cache_that_outgrew_the_usage_is_not_subtracted():
    assert usage_of(reading(usage=50, stats={"inactive_file": 100}), 0.0, None).memory_bytes == 50


def test_an_engine_that_could_not_measure_measured_nothing():
    assert usage_of({"read": "0001-01-01T00:00:00Z", "memory_stats": {}}, 0.0, None) is None


# --- labels -----------------------------------------------------------------------------------


def test_labels_say_what_a_container_was_started_from_and_no_secret():
    environment = Environment({"POOL": "20"}, {"API_TOKEN": "s3cr3t-words"})
    specification = Specification("cost-agent:1.4.2", "sha256:01", environment.digest(), {"a": 1})
    labels = labels_of(Ownership("cost-agent", "c1"), specification, environment)
    assert specification_of(labels) == specification
    assert "s3cr3t-words" not in str(labels)
    variables = {**environment.variables(), "PATH": "/usr/bin"}
    assert environment_of(labels, variables) == environment


@pytest.mark.parametrize("labels", [{}, {"optiinfra.cost_agent.options": "{broken"}])
def test_labels_that_are_gone_differ_from_every_wish(labels):
    wanted = Specification("cost-agent:1.4.2", "sha256:01", "e1", {"a": 1})
    assert specification_of(labels).differences(wanted)
    assert environment_of(labels, {"PATH": "/usr/bin"}) == Environment()


def test_only_the_same_claim_owns():
    owner = Ownership("cost-agent", "c1")
    labels = {"optiinfra.cost_agent.agent": "cost-agent", "optiinfra.cost_agent.claim": "c1"}
    assert owner.owns(labels)
    assert not Ownership("cost-agent", "c2").owns(labels)
    assert not Ownership("other", "c1").owns(labels)
    assert not owner.owns({})


# --- creation ---------------------------------------------------------------------------------


def serving(**changes):
    given = {"host": "0.0.0.0", "port": 8001, "app": "src.main:app", "workers": 1}
    given.update(ready_path="/api/v1/ready", memory_limit_mb=None)
    return Serving(**{**given, **changes})


def test_limits_are_the_engines_and_swap_is_no_way_around_them():
    limited = serving(memory_limit_mb=100, cpu_limit_cores=0.5)
    body = creation("image", limited, ContainerOptions(), 8002, {"A": "b=c"}, {})
    assert body["Env"] == ["A=b=c"]
    assert body["HostConfig"]["PortBindings"] == {
        "8001/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8002"}]
    }
    assert body["HostConfig"]["Memory"] == body["HostConfig"]["MemorySwap"] == 104857600
    assert body["HostConfig"]["NanoCpus"] == 500_000_000


def test_our_labels_win_and_an_image_keeps_its_own_command_and_user():
    options = ContainerOptions(labels={"team": "costs"})
    body = creation("image", serving(), options, 8001, {}, {"optiinfra.cost_agent.agent": "a"})
    assert body["Labels"] == {"team": "costs", "optiinfra.cost_agent.agent": "a"}
    assert not {"Cmd", "User"} & set(body)
    assert "Memory" not in body["HostConfig"]


# --- ports and pulls --------------------------------------------------------------------------


def test_publishers_are_told_by_port():
    listed = [
        {"Names": ["/web"], "Ports": [{"IP": "0.0.0.0", "PublicPort": 80, "Type": "tcp"}]},
        {"Names": ["/dns"], "Ports": [{"PublicPort": 53, "Type": "udp"}, {"PrivatePort": 9}]},
        {"Names": ["/off"], "Ports": []},
    ]
    assert publishers(listed) == {80: [("web", "0.0.0.0")]}


def test_progress_sums_up_the_layers():
    progress = PullProgress()
    for word in (
        {"status": "Pulling from cost-agent", "id": "1.4.2"},
        {"status": "Downloading", "id": "l1", "progressDetail": {"current": 10, "total": 100}},
        {"status": "Downloading", "id": "l2", "progressDetail": {"current": 5, "total": 50}},
        {"status": "Download complete", "id": "l1", "progressDetail": {}},
        {"status": "Extracting", "id": "l1", "progressDetail": {"current": 1, "total": 100}},
    ):
        progress.take(word)
    assert (progress.done, progress.total) == (105, 150)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("manifest for cost-agent:9 not found: manifest unknown", Reason.PRECONDITION),
        ("pull access denied for cost-agent, repository does not exist", Reason.AUTH),
        ('Get "https://r:5000/v2/": dial tcp 1.2.3.4:5000: connection refused', Reason.UNREACHABLE),
        ("lookup registry on 127.0.0.1:53: no such host", Reason.UNREACHABLE),
        ("unauthorized: authentication required", Reason.AUTH),
        ("no space left on device", Reason.FAILED_STATE),
    ],
)
def test_what_an_engine_says_about_a_registry_has_a_reason(said, reason):
    assert registry_failure("pull cost-agent:9", said).reason is reason
