# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd tells of a unit, read and put in words."""

from __future__ import annotations

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.systemd.systemctl import (
    Unit,
    parse,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.systemd.unit_state import (
    ending,
    rest,
)

SOCKET = Unit("cost-agent@8001.socket", "loaded")
RUNNING = """\
Id=cost-agent@8001.service
LoadState=loaded
ActiveState=active
SubState=running
Result=success
UnitFileState=enabled
NeedDaemonReload=no
MainPID=412
NRestarts=2
ExecMainStartTimestampMonotonic=81234567
ExecMainCode=0
ExecMainStatus=0
ActiveEnterTimestampMonotonic=81239999
MemoryMax=536870912"""


def service(**state):
    return Unit("cost-agent@8001.service", "loaded", **state)


def failed(**state):
    return service(active_state="failed", **state)


def test_a_unit_is_read_from_its_properties():
    assert parse(RUNNING) == Unit(
        name="cost-agent@8001.service",
        load_state="loaded",
        active_state="active",
        sub_state="running",
        is_enabled=True,
        main_pid=412,
        restarts=2,
        started_us=81234567,
        active_us=81239999,
        memory_max=536870912,
    )


def test_a_unit_without_a_limit_has_none():
    assert parse(RUNNING.replace("536870912", "infinity")).memory_max is None


def test_a_socket_has_no_process():
    text = "Id=cost-agent@8001.socket\nLoadState=loaded\nActiveState=active\nSubState=listening"
    unit = parse(text)
    assert unit.is_active
    assert not unit.is_running


@pytest.mark.parametrize(
    ("unit", "words"),
    [
        (failed(result="exit-code", exit_code=1, exit_status=3), "it exited with code 3"),
        (failed(result="exit-code", exit_code=1, exit_status=203), "cannot be run (EXEC)"),
        (failed(result="signal", exit_code=2, exit_status=9), "it was ended by SIGKILL"),
        (failed(result="core-dump", exit_code=3, exit_status=11), "it was ended by SIGSEGV"),
        (failed(result="signal", exit_code=2, exit_status=77), "it was ended by signal 77"),
        (failed(result="oom-kill", exit_code=2, exit_status=9), "for want of memory"),
        (failed(result="timeout", exit_code=2, exit_status=9), "outlived its grace"),
        (failed(result="resources"), "lacks a file or a resource"),
        (failed(result="protocol"), "systemd says protocol"),
    ],
)
def test_the_end_of_a_process_is_told(unit, words):
    assert words in ending(unit)


@pytest.mark.parametrize(
    ("unit", "socket", "words"),
    [
        (Unit("x", "masked"), SOCKET, "its unit is masked"),
        (service(), Unit("y", "masked"), "its unit is masked"),
        (
            service(
                active_state="activating",
                sub_state="auto-restart",
                result="exit-code",
                exit_code=1,
                exit_status=1,
            ),
            SOCKET,
            "it exited with code 1, and systemd starts it again",
        ),
        (
            failed(result="start-limit-hit", exit_code=1, exit_status=1),
            SOCKET,
            "it exited with code 1, too often for systemd, which gave it up (start-limit-hit)",
        ),
        (
            failed(result="exit-code", exit_code=1, exit_status=1),
            Unit("y", "loaded", active_state="failed", result="service-start-limit-hit"),
            "it exited with code 1, too often for systemd, which gave it up (start-limit-hit)",
        ),
        (failed(result="exit-code", exit_code=1, exit_status=4), SOCKET, "it exited with code 4"),
        (
            service(),
            Unit("y", "loaded", active_state="failed", result="resources"),
            "its socket failed: resources",
        ),
        (
            service(),
            Unit("y", "loaded", active_state="active"),
            "its socket listens, and the next request starts it",
        ),
        (service(), SOCKET, "it was stopped by hand"),
    ],
)
def test_why_a_service_does_not_run_is_told(unit, socket, words):
    assert rest(unit, socket, is_recorded=True) == words


def test_a_replica_that_nobody_started_needs_no_words():
    assert rest(service(), SOCKET, is_recorded=False) == ""
