# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which processes belong to a replica, and signals that cannot reach a stranger."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from ...core.errors import OperationError, Reason
from ...core.process_identity import ProcessIdentity, identify, stat_fields
from ..environment import REPLICA_VARIABLE

_STATE_FIELD = 0  # of proc(5) stat, counted behind the command's closing parenthesis
_SESSION_FIELD = 3
_ENDED = ("Z", "X", "x")


def family(leader: ProcessIdentity) -> list[ProcessIdentity]:
    """The live processes of a replica whose first process lives: its whole session."""
    return list(_identified(_in_session(leader.pid))) if leader.is_alive() else []


def mark(home: Path, replica: str) -> str:
    """The value of the environment variable that marks every process of a replica."""
    return f"{os.path.realpath(home)}:{replica}"


def marked(home: Path) -> dict[str, list[ProcessIdentity]]:
    """The live processes that were started as replicas of this home, wherever they are now.

    Finds what no pid file leads to: workers that outlive a killed first process, a replica
    whose pid file was removed, and one whose starter was killed before it was on record. Only
    our own user's processes can be seen, or all as root.
    """
    prefix = f"{REPLICA_VARIABLE}={mark(home, '')}".encode()
    found: dict[str, list[ProcessIdentity]] = {}
    for pid in _pids():
        for variable in _environment(pid):
            if variable.startswith(prefix):
                replica = variable[len(prefix) :].decode(errors="replace")
                found.setdefault(replica, []).extend(_identified(iter([pid])))
    return {replica: identities for replica, identities in found.items() if identities}


def send(process: ProcessIdentity, number: signal.Signals) -> bool:
    """Signal exactly this process; False when it has ended, also when its pid is another's.

    A pid file descriptor is opened before the identity is checked, so that the pid cannot
    change hands in between; kernels before 5.3 have none. Raises `precondition` when this user
    may not signal the process.
    """
    try:
        return _send(process, number)
    except ProcessLookupError:
        return False
    except PermissionError as error:
        raise OperationError(
            Reason.PRECONDITION,
            f"send {number.name} to pid {process.pid}",
            "it belongs to another user",
            "Run this as the user who started the agent, or with become",
        ) from error


def _send(process: ProcessIdentity, number: signal.Signals) -> bool:
    handle = _pidfd(process.pid)
    try:
        if not process.is_alive():
            return False
        if handle is None:
            os.kill(process.pid, number)
        else:
            signal.pidfd_send_signal(handle, number)
        return True
    finally:
        if handle is not None:
            os.close(handle)


def _pidfd(pid: int) -> int | None:
    """A descriptor of the process; None where this Python or the kernel has none."""
    if not hasattr(os, "pidfd_open") or not hasattr(signal, "pidfd_send_signal"):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EPERM):  # EPERM: a container's filter
            return None
        raise


def _pids() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def _in_session(session: int) -> Iterator[int]:
    for pid in _pids():
        fields = stat_fields(pid)
        if fields and fields[_STATE_FIELD] not in _ENDED and int(fields[_SESSION_FIELD]) == session:
            yield pid


def _identified(pids: Iterator[int]) -> Iterator[ProcessIdentity]:
    for pid in pids:
        identity = identify(pid)
        if identity is not None:
            yield identity


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []
