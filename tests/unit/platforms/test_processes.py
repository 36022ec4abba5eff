# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signals reach exactly the process that was meant, with and without pid file descriptors."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.errors import (
    OperationError,
    Reason,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.process_identity import (
    identify,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.host import (
    ports,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.process import (
    processes,
)


def missing(monkeypatch):
    monkeypatch.delattr(os, "pidfd_open")


def refused_by_the_kernel(monkeypatch):
    def pidfd_open(pid):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(os, "pidfd_open", pidfd_open)


def there(monkeypatch):
    pass


@pytest.fixture(params=[there, missing, refused_by_the_kernel])
def pidfd(request, monkeypatch):
    request.param(monkeypatch)


@pytest.fixture
def sleeper(tmp_path):
    environment = {"COST_AGENT_REPLICA": processes.mark(tmp_path, "cost-agent-8001")}
    arguments = [sys.executable, "-ISc", "print(flush=True); import time; time.sleep(60)"]
    process = subprocess.Popen(
        arguments, env=environment, stdout=subprocess.PIPE, start_new_session=True
    )
    process.stdout.readline()
    yield process
    process.kill()
    process.communicate()


@pytest.mark.usefixtures("pidfd")
def test_a_process_is_signalled(sleeper):
    assert processes.send(identify(sleeper.pid), signal.SIGTERM)
    assert sleeper.wait(10) == -signal.SIGTERM


@pytest.mark.usefixtures("pidfd")
def test_another_process_with_the_same_pid_is_not(sleeper):
    identity = identify(sleeper.pid)
    assert not processes.send(replace(identity, start_time=1), signal.SIGKILL)
    assert not processes.send(replace(identity, machine="elsewhere"), signal.SIGKILL)
    assert sleeper.poll() is None


@pytest.mark.usefixtures("pidfd")
def test_an_ended_process_is_not(sleeper):
    identity = identify(sleeper.pid)
    sleeper.kill()
    sleeper.wait()
    assert not processes.send(identity, signal.SIGTERM)


def test_another_users_process_is_a_precondition(sleeper, monkeypatch):
    def pidfd_send_signal(handle, number):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(signal, "pidfd_send_signal", pidfd_send_signal)
    with pytest.raises(OperationError, match="another user") as caught:
        processes.send(identify(sleeper.pid), signal.SIGTERM)
    assert caught.value.reason is Reason.PRECONDITION


def test_a_replicas_processes_are_its_session(sleeper):
    identity = identify(sleeper.pid)
    assert processes.family(identity) == [identity]
    assert processes.family(replace(identity, start_time=1)) == []


def test_a_mark_tells_replicas_of_one_home_from_all_others(sleeper, tmp_path):
    assert processes.marked(tmp_path) == {"cost-agent-8001": [identify(sleeper.pid)]}
    assert processes.marked(tmp_path / "other") == {}


def test_the_command_of_a_process_is_shown_short(sleeper):
    assert ports.command_of(sleeper.pid).startswith(sys.executable)
    assert len(ports.command_of(sleeper.pid)) <= 80
    assert ports.command_of(2**30) == "unknown"
