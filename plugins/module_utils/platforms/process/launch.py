# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start a replica that outlives us, and that is on record before it runs.

The new process writes its own pid file and then becomes the agent by exec, which keeps pid and
start time. So there is no moment at which an agent runs unrecorded, even when the starter is
killed by SIGKILL between the two.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Runs isolated from the agent's environment (-I -S) and needs nothing but the standard library.
# Its own session makes the replica's processes findable and keeps a terminal's Ctrl-C away.
_LAUNCHER = """\
import json, os, sys, time
os.setsid()
order = json.loads(sys.argv[1])
for name in os.listdir("/proc/self/fd"):
    if int(name) > 2:
        try:
            os.close(int(name))
        except OSError:
            pass
with open("/proc/self/stat", encoding="utf-8", errors="replace") as stat:
    start_time = int(stat.read().rpartition(")")[2].split()[19])
record = dict(order["record"], pid=os.getpid(), start_time=start_time, started_at=time.time())
partial = order["pid_file"] + ".new"
opener = lambda path, flags: os.open(path, flags, 0o600)
with open(partial, "w", encoding="utf-8", opener=opener) as file:
    file.write("%d\\n%s\\n" % (os.getpid(), json.dumps(record)))
os.rename(partial, order["pid_file"])
os.chdir(order["folder"])
try:
    os.execv(order["command"][0], order["command"])
except OSError as error:
    sys.exit("%s: %s" % (order["command"][0], error.strerror))
"""
_DEFAULT_SIGNALS = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGCHLD,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGALRM,
)


@dataclass(frozen=True)
class Launch:
    """One process to start: `record` lacks only what the process itself knows."""

    command: Sequence[str]
    folder: Path
    pid_file: Path
    record: Mapping[str, Any]
    log_file: Path
    environment: Mapping[str, str]


def launch(order: Launch) -> int:
    """Start the process and return its pid; its pid file appears a moment later.

    Not `subprocess`: its objects complain about a child that outlives them. The caller reaps
    the child for as long as it lives itself (`exit_of`). Raises `OSError`.
    """
    argument = json.dumps(
        {
            "command": list(order.command),
            "folder": str(order.folder),
            "pid_file": str(order.pid_file),
            "record": order.record,
        }
    )
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    log = os.open(order.log_file, flags, 0o640)
    try:
        return os.posix_spawn(
            sys.executable,
            [sys.executable, "-I", "-S", "-c", _LAUNCHER, argument],
            dict(order.environment),
            file_actions=[
                (os.POSIX_SPAWN_DUP2, log, 1),
                (os.POSIX_SPAWN_DUP2, log, 2),
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            ],
            setsigmask=(),
            setsigdef=_DEFAULT_SIGNALS,
        )
    finally:
        os.close(log)


def exit_of(pid: int) -> str | None:
    """How our child ended, in words; None while it runs or when it is not our child."""
    try:
        ended, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return None
    if ended == 0:
        return None
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return f"it was ended by {signal.Signals(number).name}"
    return f"it exited with code {os.WEXITSTATUS(status)}"
