# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One holder at a time; a dead or expired holder loses the lock."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from dataclasses import asdict

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.deadline import Deadline
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.errors import (
    OperationError,
    Reason,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.lock import (
    Holder,
    Lease,
    hold,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.process_identity import (
    identify,
    this_machine,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.state_store import (
    FileStateStore,
)

from tests.waiting import eventually

KEY = "locks/agent"


@pytest.fixture
def store(tmp_path):
    return FileStateStore(tmp_path)


def take(store, clock, seconds=10):
    return hold(store, "agent", "deploy", Deadline(clock, seconds), clock)


def held_by(store, **changes):
    me = identify(os.getpid())
    holder = Holder("restart", me.pid, me.start_time, me.machine, 0.0, 2000.0, "token")
    store.write(KEY, json.dumps({**asdict(holder), **changes}).encode())


def test_the_lock_is_gone_after_the_block(store, fake_clock):
    with take(store, fake_clock):
        assert json.loads(store.read(KEY).data)["purpose"] == "deploy"
    assert store.read(KEY) is None


def test_the_lock_is_gone_after_a_failure(store, fake_clock):
    with pytest.raises(KeyError), take(store, fake_clock):
        raise KeyError
    assert store.read(KEY) is None


def test_a_live_holder_is_waited_for_and_named(store, fake_clock):
    held_by(store)
    with pytest.raises(OperationError) as caught, take(store, fake_clock, seconds=5):
        pass
    assert caught.value.reason is Reason.LOCKED
    assert f"pid {os.getpid()}" in str(caught.value)
    assert "'restart'" in str(caught.value)
    assert fake_clock.monotonic() == pytest.approx(5)


def test_a_dead_holders_lock_is_taken_over_at_once(store, fake_clock):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    identity = identify(ended.pid)
    ended.wait()
    held_by(store, pid=ended.pid, start_time=identity.start_time if identity else 1)
    with take(store, fake_clock):
        assert fake_clock.monotonic() == 0


def test_a_holder_whose_pid_is_anothers_now_is_dead(store, fake_clock):
    held_by(store, start_time=1)
    with take(store, fake_clock):
        assert fake_clock.monotonic() == 0


def test_a_holder_on_another_machine_keeps_it_until_it_expires(store, fake_clock):
    held_by(store, machine="elsewhere", pid=1, expires_at=fake_clock.now() + 3)
    with take(store, fake_clock):
        assert fake_clock.monotonic() == pytest.approx(3, abs=0.3)


def test_an_unreadable_record_is_taken_over(store, fake_clock):
    store.write(KEY, b"{half")
    with take(store, fake_clock):
        assert json.loads(store.read(KEY).data)["machine"] == this_machine()


def test_a_lock_lost_to_expiry_is_not_deleted_from_its_new_holder(store, fake_clock):
    with take(store, fake_clock):
        held_by(store)
    assert json.loads(store.read(KEY).data)["purpose"] == "restart"


def lease(store, clock):
    return Lease(store, "agent", "backup", clock)


def expiry(store):
    return json.loads(store.read(KEY).data)["expires_at"]


def test_a_lease_is_refused_at_once_while_another_holds_it(store, fake_clock):
    held_by(store)
    with pytest.raises(OperationError) as caught, lease(store, fake_clock):
        pass
    assert caught.value.reason is Reason.LOCKED
    assert fake_clock.monotonic() == 0


def test_a_lease_is_renewed_when_it_is_time_and_gone_after_the_block(store, fake_clock):
    with lease(store, fake_clock) as held:
        first = expiry(store)
        held.keep()
        assert expiry(store) == first
        fake_clock.sleep(60)
        held.keep()
        eventually(lambda: expiry(store) == first + 60)
    assert store.read(KEY) is None


def test_a_lease_that_another_took_over_ends_the_work_and_stays_the_others(store, fake_clock):
    with lease(store, fake_clock) as held:
        held_by(store, pid=1, expires_at=10_000.0)
        fake_clock.sleep(60)
        assert until_it_raises(held).reason is Reason.LOCKED
    assert json.loads(store.read(KEY).data)["pid"] == 1


def until_it_raises(held: Lease) -> OperationError:
    def keep() -> OperationError | None:
        try:
            held.keep()
        except OperationError as error:
            return error
        return None

    return eventually(keep)


class SlowStore:
    """A store whose writes wait, or fail, once they are told to."""

    def __init__(self, store: FileStateStore) -> None:
        self._store = store
        self.free = threading.Event()
        self.free.set()
        self.failure: OperationError | None = None
        self.attempts = 0
        self.loses_answers = False
        self.read, self.delete = store.read, store.delete

    def write(self, key: str, data: bytes, expect: str = "any") -> str:
        self.attempts += 1
        self.free.wait(60)
        if self.failure:
            raise self.failure
        version = self._store.write(key, data, expect)
        if self.loses_answers:
            raise UNREACHABLE
        return version


UNREACHABLE = OperationError(Reason.UNREACHABLE, "write", "no answer", "Look")


def test_the_work_goes_on_while_a_store_takes_its_time(store, fake_clock):
    slow = SlowStore(store)
    with lease(slow, fake_clock) as held:
        first = expiry(store)
        slow.free.clear()
        for _second in range(110):
            fake_clock.sleep(1)
            held.keep()
        slow.free.set()
        eventually(lambda: expiry(store) > first)
        assert slow.attempts == 2


def test_a_store_that_does_not_answer_ends_the_work_once_the_lock_has_expired(store, fake_clock):
    slow = SlowStore(store)
    with lease(slow, fake_clock) as held:
        slow.free.clear()
        fake_clock.sleep(60)
        held.keep()
        fake_clock.sleep(61)
        with pytest.raises(OperationError, match="121 s") as caught:
            held.keep()
        assert caught.value.reason is Reason.TIMEOUT
        slow.free.set()


def test_a_store_that_fails_is_tried_again_now_and_then_while_the_lock_is_valid(store, fake_clock):
    slow = SlowStore(store)
    with lease(slow, fake_clock) as held:
        slow.failure = UNREACHABLE
        fake_clock.sleep(60)
        held.keep()
        eventually(lambda: slow.attempts == 2)
        for _look in range(200):
            held.keep()
        assert slow.attempts == 2
        fake_clock.sleep(60)
        assert until_it_raises(held) is UNREACHABLE


def test_a_renewal_whose_answer_was_lost_is_no_other_holders(store, fake_clock):
    slow = SlowStore(store)
    with lease(slow, fake_clock) as held:
        first = expiry(store)
        slow.loses_answers = True
        fake_clock.sleep(60)
        held.keep()
        eventually(lambda: expiry(store) == first + 60)
        slow.loses_answers = False
        fake_clock.sleep(10)

        def is_renewed() -> bool:
            held.keep()
            return bool(expiry(store) == first + 70)

        eventually(is_renewed)
    assert store.read(KEY) is None
