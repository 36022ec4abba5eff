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
_LEASE_S = 120.0


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

    @classmethod
    def of_this_process(cls, purpose: str, now: float, valid_s: float) -> Holder:
        """This process, from `now` for `valid_s` seconds."""
        me = identify(os.getpid())
        return cls(
            purpose=purpose,
            pid=os.getpid(),
            start_time=me.start_time if me else 0,
            machine=this_machine(),
            acquired_at=now,
            expires_at=now + valid_s,
            token=uuid.uuid4().hex,
        )

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
    version = _acquire(store, key, purpose, deadline, clock, deadline.remaining)
    try:
        yield
    finally:
        with contextlib.suppress(VersionConflict):  # it expired and is another's now
            store.delete(key, expect=version)


class Lease:
    """A lock of long work, which renews it while it works: a holder that dies soon loses it."""

    def __init__(self, store: StateStore, name: str, purpose: str, clock: Clock) -> None:
        self._store = store
        self._key = f"locks/{name}"
        self._purpose = purpose
        self._clock = clock
        self._version = ""
        self._renewed_at = 0.0

    def __enter__(self) -> Lease:
        """Take the lock at once; raises `locked`, naming the holder."""
        now = Deadline(self._clock, 0)
        self._version = _acquire(self._store, self._key, self._purpose, now, self._clock, _LEASE_S)
        self._renewed_at = self._clock.monotonic()
        return self

    def __exit__(self, *_error: object) -> None:
        with contextlib.suppress(VersionConflict):
            self._store.delete(self._key, expect=self._version)

    def keep(self) -> None:
        """Renew it when it is time; call it often. Raises `locked` when it is another's by now."""
        if self._clock.monotonic() - self._renewed_at < _LEASE_S / 3:
            return
        try:
            self._version = _write(
                self._store, self._key, self._purpose, self._clock, _LEASE_S, self._version
            )
        except VersionConflict:
            raise _is_locked(self._store, self._key, self._purpose, self._clock, 0) from None
        self._renewed_at = self._clock.monotonic()


def require_free(store: StateStore, name: str, purpose: str, clock: Clock) -> None:
    """Raises `locked`, naming the holder, while another run holds the lock `name`."""
    key = f"locks/{name}"
    holder = _holder(store, key)
    if holder is not None and not holder.is_gone(clock.now()):
        raise _is_locked(store, key, purpose, clock, 0)


def _acquire(
    store: StateStore, key: str, purpose: str, deadline: Deadline, clock: Clock, valid_s: float
) -> str:
    def attempt() -> str | None:
        return _try_acquire(store, key, purpose, clock, valid_s)

    version = poll(attempt, deadline, clock, backoff(longest=0.25))
    if version is None:
        raise _is_locked(store, key, purpose, clock, deadline.seconds)
    return version


def _is_locked(
    store: StateStore, key: str, purpose: str, clock: Clock, waited_s: float
) -> OperationError:
    holder = _holder(store, key)
    seen = "another run took it again and again"
    if holder:
        seen = (
            f"it is held for {holder.purpose!r} by pid {holder.pid} on "
            f"{holder.machine.split('/')[0]} since {clock.now() - holder.acquired_at:.0f} s"
        )
    return OperationError(
        Reason.LOCKED,
        f"lock {key} for {purpose!r} within {waited_s:.0f} s",
        seen,
        "Wait until that run has ended, then run this again",
        state={"holder": asdict(holder) if holder else None},
    )


def _try_acquire(
    store: StateStore, key: str, purpose: str, clock: Clock, valid_s: float
) -> str | None:
    entry = store.read(key)
    if entry is not None:
        holder = _parse(entry.data)
        if holder is not None and not holder.is_gone(clock.now()):
            return None
    try:
        return _write(store, key, purpose, clock, valid_s, entry.version if entry else ABSENT)
    except VersionConflict:
        return None


def _write(
    store: StateStore, key: str, purpose: str, clock: Clock, valid_s: float, expect: str
) -> str:
    mine = Holder.of_this_process(purpose, clock.now(), valid_s + _EXPIRY_MARGIN_S)
    return store.write(key, json.dumps(asdict(mine)).encode(), expect=expect)


def _holder(store: StateStore, key: str) -> Holder | None:
    entry = store.read(key)
    return _parse(entry.data) if entry else None


def _parse(data: bytes) -> Holder | None:
    """The holder, or None for a record that no version of this code wrote whole."""
    try:
        return Holder(**json.loads(data))
    except (ValueError, TypeError):
        return None
