# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong with containers, on a real engine: each is named, and the next run puts it right."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
import threading
import time
from pathlib import Path

import pytest
from docker.errors import APIError

from tests.component.operated_platform import TIMEOUT_S
from tests.component.process_platform import as_ordinary_user
from tests.platforms.docker_platform import REPOSITORY, DockerPlatform, remove_agents
from tests.waiting import eventually

FOLLOWS_SIGTERM_LATE = {"drains_for_s": 1.0}
pytestmark = [
    # The SDK leaves a socket open that it could not connect.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def platform(docker_engine, agent_images, tmp_path):
    remove_agents(docker_engine)  # of a run that was killed
    running = DockerPlatform(tmp_path, docker_engine)
    # As an operator has it, who did not choose one.
    running.docker["restart_policy"] = "unless-stopped"
    yield running
    running.close()


@pytest.fixture
def started(platform):
    platform.deploy("1.4.1")
    succeeded(platform.agent())
    return platform


def succeeded(outcome):
    assert not outcome.get("failed"), outcome
    return outcome


def inspected(platform, name):
    return platform.engine.client().api.inspect_container(name)


def foreign_container(platform, name, **options):
    command = ["python3", "-c", "import time; time.sleep(600)"]
    client = platform.engine.client()
    return client.containers.run("cost-agent:1.4.1", command, name=name, detach=True, **options)


# --- containers that end ----------------------------------------------------------------------


def test_the_engine_starts_a_replica_again_that_died(started):
    name = started.names()[0]
    before = started.pids()
    os.kill(before[name], signal.SIGKILL)
    eventually(lambda: started.pids().get(name, before[name]) != before[name])
    eventually(lambda: name in started.serving())
    assert not succeeded(started.agent())["changed"]


def test_a_replica_that_was_stopped_on_purpose_stays_so_when_the_engine_restarts(
    started, own_engine
):
    succeeded(started.agent("stopped", replicas=None))
    own_engine.restart()
    time.sleep(2)  # what the engine starts by itself, it starts at once
    assert started.pids() == {}
    assert "stopped on purpose" in succeeded(started.info())["summary"]
    succeeded(started.agent())
    own_engine.restart()
    eventually(lambda: started.serving() == started.names())


def test_a_container_that_was_removed_by_hand_comes_back(started):
    name, *others = started.names()
    before = started.pids()
    started.engine.client().containers.get(name).remove(force=True)
    assert "2 of 3 ready" in succeeded(started.info())["summary"]
    succeeded(started.agent())
    assert started.serving() == started.names()
    assert [started.pids()[each] for each in others] == [before[each] for each in others]


def test_a_crash_at_start_ends_the_wait_though_the_engine_restarts_it(platform):
    platform.deploy("1.4.2", source="raise RuntimeError('no such table: costs')\n")
    outcome = platform.agent()
    assert outcome["reason"] == "failed_state"
    assert "exit code 1" in outcome["msg"]
    assert "no such table: costs" in outcome["msg"]
    assert any("no such table" in line for line in outcome["log_tail"])
    assert outcome["duration"] < TIMEOUT_S / 2
    assert succeeded(platform.agent("stopped"))["changed"]
    assert platform.pids() == {}


def test_one_that_needs_more_memory_than_its_limit_is_named_so(platform):
    platform.deploy("1.4.2", source="held = b'x' * 200_000_000\n")
    outcome = platform.agent(memory_limit_mb=30)
    assert outcome["reason"] == "failed_state"
    assert "killed for lack of memory" in outcome["msg"]


def test_one_that_is_never_ready_ends_in_a_timeout_with_its_last_state(platform):
    platform.deploy("1.4.2", ready_after_s=None)
    outcome = platform.agent(timeout_s=8, stop_grace_s=1)
    assert outcome["reason"] == "timeout"
    assert "HTTP 503" in outcome["msg"]
    assert any("listening" in line for line in outcome["log_tail"])


def test_the_images_healthcheck_counts_beside_our_own_look(platform):
    platform.deploy(
        "1.4.2",
        healthcheck="--interval=1s --retries=1 --start-period=1s CMD echo the disk is full && exit 1",
    )
    outcome = platform.agent(timeout_s=12, stop_grace_s=1)
    assert outcome["reason"] == "timeout"
    assert "its HEALTHCHECK fails: the disk is full" in outcome["msg"]


def test_a_replica_that_outlives_its_grace_is_killed_and_that_is_told(platform):
    platform.deploy("1.4.1", ignores_sigterm=True)
    succeeded(platform.agent(replicas=1))
    outcome = succeeded(platform.agent("stopped", stop_grace_s=1))
    assert any("SIGKILL" in action for action in outcome["actions"])
    assert platform.pids() == {}


def test_a_paused_replica_is_told_and_can_be_stopped(started):
    name = started.names()[0]
    started.engine.client().containers.get(name).pause()
    [paused] = [r for r in started.info()["state"]["replicas"] if r["name"] == name]
    assert paused["status"] == "running"
    assert "paused" in paused["note"]
    outcome = succeeded(started.agent("stopped"))
    assert not any("SIGKILL" in action for action in outcome["actions"])


# --- what others hold -------------------------------------------------------------------------


def test_a_port_range_that_is_taken_is_refused_with_all_who_hold_it(platform):
    platform.deploy("1.4.1")
    with socket.create_server(("127.0.0.1", platform.port)):
        other = foreign_container(
            platform, "cost-agent-other", ports={"8001/tcp": ("127.0.0.1", platform.port + 2)}
        )
        try:
            outcome = platform.agent()
            preflight = platform.preflight(replicas=3)
        finally:
            other.remove(force=True)
    assert outcome["reason"] == preflight["reason"] == "precondition"
    for message in (outcome["msg"], preflight["msg"]):
        assert f"port {platform.port} is held by pid {os.getpid()}" in message
        assert f"port {platform.port + 2} is published by container cost-agent-other" in message
    assert platform.containers() == {}


def test_ports_that_the_replicas_would_take_from_each_other_are_refused(started):
    outcome = started.agent(port=started.port + 1)
    assert outcome["reason"] == "precondition"
    assert "published by container cost-agent-2" in outcome["msg"]
    assert started.serving() == started.names()


def test_a_foreign_container_of_our_name_is_refused_and_left_alone(platform):
    platform.deploy("1.4.1")
    other = foreign_container(platform, "cost-agent-2")
    outcome = platform.agent()
    assert outcome["reason"] == "precondition"
    assert "cost-agent-2 of image cost-agent:1.4.1 is not of this agent" in outcome["msg"]
    succeeded(platform.agent("stopped"))
    other.reload()
    assert other.status == "running"
    assert list(platform.containers()) == ["cost-agent-2"]


def test_an_agent_with_another_state_store_is_foreign_though_it_has_our_name(
    started, docker_engine, tmp_path
):
    second = DockerPlatform(tmp_path / "second", docker_engine)
    second.deploy("1.4.2")
    outcome = second.agent()
    assert outcome["reason"] == "precondition"
    assert "another state store" in outcome["msg"]
    assert started.serving() == started.names()
    assert second.info()["state"]["replicas"] == []


# --- images -----------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["latest", "1.4.2 "])
def test_an_image_that_cannot_name_a_release_is_refused(platform, version):
    assert platform.agent_release(version)["reason"] == "invalid_input"


def test_an_image_that_is_not_there_is_refused_before_anything_is_touched(started):
    never = started.agent_release("9.9.9", docker={"pull": "never"})
    assert never["reason"] == "precondition"
    assert "pull is never" in never["msg"]
    pulled = started.agent_release("9.9.9")
    assert pulled["reason"] in ("unreachable", "auth", "precondition")
    assert f"{REPOSITORY}:9.9.9" in pulled["msg"]
    assert started.info()["state"]["release"] == started.release("1.4.1")


def test_a_tag_that_moved_is_refused_and_a_rollback_runs_what_was_recorded(platform):
    first = platform.build("1.4.1")
    succeeded(platform.agent_release("1.4.1"))
    succeeded(platform.agent())
    succeeded(platform.agent_release("1.4.1", state="good"))
    platform.build("1.4.2")
    succeeded(platform.agent_release("1.4.2"))
    succeeded(platform.agent())
    moved = platform.build("1.4.1", source="# another build\n")
    assert moved != first

    outcome = platform.agent_release("1.4.1")
    assert outcome["reason"] == "precondition"
    assert "what an id names never changes" in outcome["msg"]
    assert succeeded(platform.roll_back())["changed"]
    succeeded(platform.agent())
    images = {inspected(platform, name)["Image"] for name in platform.names()}
    assert images == {first}


def test_an_image_that_was_deleted_is_missed_before_a_replica_is(platform):
    image = platform.build("1.4.2", source="# to be deleted\n")
    succeeded(platform.agent_release("1.4.2"))
    platform.engine.client().images.remove(image, force=True)
    outcome = platform.agent()
    assert outcome["reason"] == "precondition"
    assert "is gone from the engine" in outcome["msg"]
    assert platform.containers() == {}


# --- migrations -------------------------------------------------------------------------------


def migrate(platform, command, **arguments):
    arguments = {"environment_secrets": {"API_TOKEN": "s3cr3t-words"}, **arguments}
    return platform.agent_release("1.4.2", migration=command, **arguments)


def python(code):
    return ["python3", "-c", code]


def test_a_migration_runs_in_the_new_image_before_a_replica_is_touched(started):
    started.build("1.4.2")
    code = "import os; assert os.environ['RELEASE_ID'].endswith('1.4.2'), os.environ"
    outcome = succeeded(migrate(started, python(code)))
    assert any("Ran the migration" in action for action in outcome["actions"])
    assert not [each for each in started.engine.containers() if "migration" in each.name]


def test_a_migration_that_fails_leaves_the_release_and_tells_why_without_secrets(started):
    started.build("1.4.2")
    code = "import os; raise SystemExit('no table costs for ' + os.environ['API_TOKEN'])"
    outcome = migrate(started, python(code))
    assert outcome["reason"] == "failed_state"
    assert "exit code 1" in outcome["msg"]
    assert outcome["log_tail"] == ["no table costs for ********"]
    assert started.info()["state"]["release"] == started.release("1.4.1")
    assert not [each for each in started.engine.containers() if "migration" in each.name]


def test_a_migration_that_cannot_be_run_names_the_program(started):
    started.build("1.4.2")
    assert migrate(started, ["alembic", "upgrade"])["reason"] == "missing_program"


def test_a_migration_that_takes_too_long_is_ended(started):
    started.build("1.4.2")
    outcome = migrate(started, python("import time; time.sleep(60)"), timeout_s=3)
    assert outcome["reason"] == "timeout"
    assert not [each for each in started.engine.containers() if "migration" in each.name]


# --- the engine -------------------------------------------------------------------------------


def test_an_engine_that_is_not_there_is_unreachable(platform):
    for outcome in (
        platform.info(docker={"docker_host": "unix:///nowhere/docker.sock"}),
        platform.agent("stopped", docker={"docker_host": "tcp://127.0.0.1:1"}),
    ):
        assert outcome["reason"] == "unreachable"
        assert "DOCKER_HOST" in outcome["msg"]


def test_a_user_who_may_not_use_the_engine_is_told_how(platform, tmp_path):
    gate = socket.socket(socket.AF_UNIX)
    path = Path(tempfile.mkdtemp()) / "docker.sock"
    path.parent.chmod(0o755)
    gate.bind(str(path))
    path.chmod(0o600)
    gate.listen()

    def ask():
        return platform.info(home="/nowhere/agent", docker={"docker_host": f"unix://{path}"})

    try:
        outcome = as_ordinary_user(tmp_path, ask)
    finally:
        gate.close()
        shutil.rmtree(path.parent)
    assert outcome["reason"] == "auth"
    assert "group docker" in outcome["msg"]


def test_an_engine_that_restarts_midway_delays_a_restart_and_does_not_break_it(started, own_engine):
    outcomes = []
    thread = threading.Thread(target=lambda: outcomes.append(started.agent("restarted")))
    before = started.pids()
    thread.start()
    eventually(lambda: started.pids().get("cost-agent-1", -1) != before["cost-agent-1"])
    own_engine.restart()
    thread.join(120)
    [outcome] = outcomes
    if outcome.get("failed"):  # it may say so, but never leave it
        assert outcome["reason"] in ("unreachable", "failed_state"), outcome
    succeeded(started.agent())
    assert started.serving() == started.names()


# --- a controller that is killed --------------------------------------------------------------


@pytest.mark.parametrize("after_s", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("operation", ["start", "restart", "deploy", "scale", "stop"])
def test_the_next_run_finishes_what_a_killed_one_began(platform, operation, after_s):
    platform.deploy("1.4.1", **FOLLOWS_SIGTERM_LATE)
    wanted = {"state": "started", "replicas": 3, "timeout_s": 60}
    if operation != "start":
        succeeded(platform.agent(**wanted))
    if operation == "deploy":
        platform.deploy("1.4.2", **FOLLOWS_SIGTERM_LATE)
    wanted["state"] = {"restart": "restarted", "stop": "stopped"}.get(operation, "started")
    if operation == "scale":
        wanted["replicas"] = 5

    pid = os.fork()
    if pid == 0:
        platform.agent(**wanted)
        os._exit(0)
    time.sleep(after_s)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)

    succeeded(platform.agent(**wanted))
    count = 0 if operation == "stop" else wanted["replicas"]
    assert platform.serving() == platform.names(count)
    if operation != "restart":
        assert not succeeded(platform.agent(**wanted))["changed"]


# --- what proved good -------------------------------------------------------------------------

KEEPER = "cost-agent-good"


def test_what_proved_good_is_kept_by_a_container_that_never_runs(started):
    succeeded(started.agent(environment={"KEPT": 1}))
    succeeded(started.record_good())
    kept = inspected(started, KEEPER)
    assert kept["State"]["Status"] == "created"
    assert "KEPT=1" in kept["Config"]["Env"]
    assert KEEPER not in str(succeeded(started.info())["state"]["replicas"])
    started.deploy("1.4.2")
    succeeded(started.agent())
    # What is in use, a prune leaves too.
    with pytest.raises(APIError, match="is using its referenced image"):
        started.engine.client().images.remove(started.release("1.4.1"))
    succeeded(started.roll_back())
    succeeded(started.agent())
    assert {inspected(started, name)["Image"] for name in started.names()} == {kept["Image"]}
    started.deploy("1.4.2")
    succeeded(started.agent())
    succeeded(started.record_good())
    assert inspected(started, KEEPER)["Image"] != kept["Image"]


def test_after_a_prune_of_containers_the_release_alone_comes_back(started):
    succeeded(started.agent(environment={"KEPT": 1}))
    succeeded(started.record_good())
    succeeded(started.agent(environment={"KEPT": 2}))
    started.engine.client().containers.prune()
    outcome = started.roll_back()
    assert outcome["reason"] == "precondition"
    assert "no container any more that keeps its environment" in outcome["msg"]
    started.deploy("1.4.2")
    succeeded(started.agent())
    succeeded(started.roll_back())
    outcome = succeeded(started.agent())
    assert {r["release"] for r in outcome["state"]["replicas"]} == {started.release("1.4.1")}
    assert started.ask("cost-agent-1")["environment"]["KEPT"] == "2"


def test_a_foreign_container_of_the_keepers_name_is_named_and_left(started):
    theirs = foreign_container(started, KEEPER)
    try:
        outcome = started.record_good()
        assert outcome["reason"] == "precondition"
        assert KEEPER in outcome["msg"]
        assert inspected(started, KEEPER)["Id"] == theirs.id
    finally:
        theirs.remove(force=True)
    assert succeeded(started.record_good())["changed"]


# --- secrets ----------------------------------------------------------------------------------


def test_a_secret_is_in_the_containers_environment_and_nowhere_else(started):
    outcome = succeeded(started.agent(environment_secrets={"API_TOKEN": "s3cr3t-words"}))
    for name in started.names():
        seen = inspected(started, name)
        assert "API_TOKEN=s3cr3t-words" in seen["Config"].pop("Env")
        assert "s3cr3t-words" not in str(seen)
    told = [outcome, started.info(), started.logs()]
    assert "s3cr3t-words" not in str(told)
    assert "s3cr3t-words" not in str(started.tree())
