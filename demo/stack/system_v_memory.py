"""The System V shared memory segment that a killed PostgreSQL leaves behind.

PostgreSQL keeps a segment of a few bytes as a lock and would remove a stale
one at its next start; after `down` there may be no next start.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path

_SEGMENTS = Path("/proc/sysvipc/shm")
_SHMEM_KEY_LINE = 6  # of postmaster.pid, counted from 0: "key id"
_IPC_RMID = 0


def remove_unused(postmaster_pid: Sequence[str]) -> None:
    """Remove the segment named in these lines of postmaster.pid, if nothing is attached to it.

    Key and id must both match a segment of now: an id alone may have been
    given to somebody else.
    """
    if len(postmaster_pid) <= _SHMEM_KEY_LINE:
        return
    recorded = postmaster_pid[_SHMEM_KEY_LINE].split()
    try:
        segments = [line.split() for line in _SEGMENTS.read_text().splitlines()[1:]]
    except FileNotFoundError:
        return  # a kernel without System V memory has nothing to remove
    for key, identifier, _mode, _size, _creator, _last, attached, *_rest in segments:
        if [key, identifier] == recorded and attached == "0":
            libc = ctypes.CDLL(None)
            libc.shmctl(ctypes.c_int(int(identifier)), ctypes.c_int(_IPC_RMID), None)
