# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lock that outlives no one: it has a holder and an expiry, and a dead holder loses it."""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from .clock import Clock
from .deadline import Deadline, backoff, poll
from .errors import OperationError, Reason
from .process_identity import ProcessIdentity, identify, this_machine
from .state_store import ABSENT, StateStore, VersionConflict

_EXPIRY_MARGIN_S = 60.0


@dataclass(frozen=True)
class Holder:
    """Who holds a lock; `expires_at` is in seconds since the epoch, `token` makes it unique."""

    purpose: str
    pid: int
    start_time: int
    machine: str
    acquired_at: float
    expires_at: float
    token: str

    def is_gone(self, now: float) -> bool:
        """Whether the lock may be taken over: expired, or its process of this machine ended."""
        if now >= self.expires_at:
            return True
        if self.machine != this_machine():
            return False
        return not ProcessIdentity(self.pid, self.start_time, self.machine).is_alive()


@contextlib.contextmanager
def hold(
    store: StateStore, name: str, purpose: str, deadline: Deadline, clock: Clock
) -> Iterator[None]:
    """Hold the lock `name` for the block, which must end by the deadline.

    Waits for another holder; raises `locked`, naming that holder, when the deadline passes.
    """
    key = f"locks/{name}"
    version = _acquire(store, key, purpose, deadline, clock)
    try:
        yield
    finally:
        with contextlib.suppress(VersionConflict):  # it expired and is another's now
            store.delete(key, expect=version)


def _acquire(store: StateStore, key: str, purpose: str, deadline: Deadline, clock: Clock) -> str:
    def attempt() -> str | None:
        return _try_acquire(store, key, purpose, deadline, clock)

    version = poll(attempt, deadline, clock, backoff(longest=0.25))
    if version is not None:
        return version
    holder = _holder(store, key)
    seen = "another run took it again and again"
    if holder:
        seen = (
            f"it is held for {holder.purpose!r} by pid {holder.pid} on "
            f"{holder.machine.split('/')[0]} since {clock.now() - holder.acquired_at:.0f} s"
        )
    raise OperationError(
        Reason.LOCKED,
        f"lock {key} for {purpose!r} within {deadline.seconds:.0f} s",
        seen,
        "Wait until that run has ended, then run this again",
        state={"holder": asdict(holder) if holder else None},
    )


def _try_acquire(
    store: StateStore, key: str, purpose: str, deadline: Deadline, clock: Clock
) -> str | None:
    entry = store.read(key)
    if entry is not None:
        holder = _parse(entry.data)
        if holder is not None and not holder.is_gone(clock.now()):
            return None
    me = identify(os.getpid())
    now = clock.now()
    mine = Holder(
        purpose=purpose,
        pid=os.getpid(),
        start_time=me.start_time if me else 0,
        machine=this_machine(),
        acquired_at=now,
        expires_at=now + deadline.remaining + _EXPIRY_MARGIN_S,
        token=uuid.uuid4().hex,
    )
    data = json.dumps(asdict(mine)).encode()
    try:
        return store.write(key, data, expect=entry.version if entry else ABSENT)
    except VersionConflict:
        return None


def _holder(store: StateStore, key: str) -> Holder | None:
    entry = store.read(key)
    return _parse(entry.data) if entry else None


def _parse(data: bytes) -> Holder | None:
    """The holder, or None for a record that no version of this code wrote whole."""
    try:
        return Holder(**json.loads(data))
    except (ValueError, TypeError):
        return None
