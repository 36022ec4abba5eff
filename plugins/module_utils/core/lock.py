# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lock that outlives no one: it has a holder and an expiry, and a dead holder loses it."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Callable

from .clock import Clock
from .deadline import Deadline, backoff, poll
from .errors import OperationError, Reason
from .process_identity import ProcessIdentity, identify, this_machine
from .state_store import ABSENT, StateStore, VersionConflict

_EXPIRY_MARGIN_S = 60.0
_LEASE_S = 120.0
_AGAIN_S = 5.0


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

    def is_this_process(self) -> bool:
        me = identify(os.getpid())
        started = me.start_time if me else 0
        return (self.pid, self.start_time, self.machine) == (os.getpid(), started, this_machine())

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
    """A lock of long work, which renews it while it works: a holder that dies soon loses it.

    A renewal runs in a thread of its own, since a store may take long and the work has pauses to
    make meanwhile.
    """

    def __init__(self, store: StateStore, name: str, purpose: str, clock: Clock) -> None:
        self._store = store
        self._key = f"locks/{name}"
        self._purpose = purpose
        self._clock = clock
        self._version = ""
        self._renewed_at = 0.0
        self._tried_at = 0.0
        self._renewal: _Renewal | None = None

    def __enter__(self) -> Lease:
        """Take the lock at once; raises `locked`, naming the holder."""
        now = Deadline(self._clock, 0)
        self._version = _acquire(self._store, self._key, self._purpose, now, self._clock, _LEASE_S)
        self._renewed_at = self._clock.monotonic()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._renewal is not None:
            self._renewal.thread.join()
            self._version = self._renewal.version or self._version
        with contextlib.suppress(VersionConflict):
            self._store.delete(self._key, expect=self._version)

    def keep(self) -> None:
        """Renew it when it is time; call it often, it takes no time.

        Raises `locked` when it is another's by now, and what the store raises once it could not
        be renewed for as long as it is valid.
        """
        now = self._clock.monotonic()
        age_s = now - self._renewed_at
        if self._renewal is not None and self._renewal.thread.is_alive():
            if age_s >= _LEASE_S:
                raise self._unanswered(age_s)
            return
        if self._renewal is not None:
            renewal, self._renewal = self._renewal, None
            self._take(renewal, age_s)
        if now >= max(self._renewed_at + _LEASE_S / 3, self._tried_at + _AGAIN_S):
            self._tried_at = now
            self._renewal = _Renewal(self._renew, now)

    def _take(self, renewal: _Renewal, age_s: float) -> None:
        if renewal.version:
            self._version, self._renewed_at = renewal.version, renewal.begun_at
        elif isinstance(renewal.failure, VersionConflict):
            raise _is_locked(self._store, self._key, self._purpose, self._clock, 0)
        elif age_s >= _LEASE_S and renewal.failure is not None:
            raise renewal.failure

    def _renew(self) -> str:
        try:
            return self._write(self._version)
        except VersionConflict:
            # An earlier attempt may have arrived whose answer did not.
            entry = self._store.read(self._key)
            holder = _parse(entry.data) if entry else None
            if entry is None or holder is None or not holder.is_this_process():
                raise
            return self._write(entry.version)

    def _write(self, expect: str) -> str:
        return _write(self._store, self._key, self._purpose, self._clock, _LEASE_S, expect)

    def _unanswered(self, age_s: float) -> OperationError:
        return OperationError(
            Reason.TIMEOUT,
            f"renew lock {self._key} for {self._purpose!r}",
            f"the state store has not answered for {age_s:.0f} s, so the lock has expired",
            "See whether the state store is slow, then run this again",
        )


class _Renewal:
    """One attempt, begun at a monotonic time: a new version, or the failure."""

    def __init__(self, renew: Callable[[], str], begun_at: float) -> None:
        self._renew = renew
        self.begun_at = begun_at
        self.version = ""
        self.failure: BaseException | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.version = self._renew()
        except BaseException as error:  # handed to the thread that works
            self.failure = error


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
