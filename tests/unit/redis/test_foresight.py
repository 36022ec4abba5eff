# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a change of maxmemory would do."""

from __future__ import annotations

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.redis.foresight import (
    Eviction,
    Footprint,
    KeySample,
    Keyspace,
    Limit,
    eviction,
    is_at_once,
    largest_fitting,
    newly_endangered,
    room,
)

KIB = 1024
LASTING, EXPIRING = KeySample(1000, False), KeySample(1000, True)
# 1,000 keys of 1,000 bytes, 100 of which expire, and 50,000 bytes beside them.
HELD = Keyspace(counted_bytes=1_050_000, keys=1000, expiring=100)


@pytest.mark.parametrize(
    ("limit", "samples", "expected"),
    [
        (Limit(0, "allkeys-lru"), [LASTING], Eviction()),
        (Limit(2_000_000, "allkeys-lru"), [LASTING], Eviction()),
        (Limit(950_000, "allkeys-lru"), [LASTING], Eviction(100_000, 100_000, 100)),
        (Limit(949_999, "allkeys-lru"), [LASTING], Eviction(100_001, 100_001, 101)),
        (Limit(1_000_000, "volatile-ttl"), [LASTING, EXPIRING], Eviction(50_000, 50_000, 50)),
        # More must go than what expires.
        (Limit(750_000, "volatile-lru"), [EXPIRING], Eviction(300_000, 100_000, 100, True)),
        # Not even all keys are enough: what is beside them stays.
        (Limit(10_000, "allkeys-lru"), [LASTING], Eviction(1_040_000, 1_000_000, 1000, True)),
        (Limit(950_000, "noeviction"), [LASTING], Eviction(100_000, 0, 0, True)),
        # No key could be measured.
        (Limit(950_000, "allkeys-lru"), [], Eviction(100_000, 100_000, None)),
    ],
)
def test_what_goes_at_once(limit: Limit, samples: list[KeySample], expected: Eviction) -> None:
    assert eviction(HELD, limit, samples) == expected


def test_only_keys_that_may_go_are_measured() -> None:
    large_that_stay = [KeySample(100_000, False)] * 9
    foreseen = eviction(HELD, Limit(1_000_000, "volatile-lru"), [*large_that_stay, EXPIRING])
    assert foreseen.evicted_keys == 50


def test_where_no_sample_expires_all_of_them_tell_the_size() -> None:
    assert eviction(HELD, Limit(1_000_000, "volatile-lru"), [LASTING]).evicted_keys == 50


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (Limit(0, "noeviction"), Limit(1_000_000, "noeviction"), True),
        (Limit(0, "noeviction"), Limit(2_000_000, "noeviction"), False),
        (Limit(900_000, "allkeys-lru"), Limit(1_000_000, "allkeys-lru"), False),
        (Limit(1_000_000, "allkeys-lru"), Limit(900_000, "allkeys-lru"), True),
        (Limit(1_000_000, "noeviction"), Limit(1_000_000, "allkeys-lru"), True),
        (Limit(1_000_000, "noeviction"), Limit(0, "allkeys-lru"), False),
    ],
)
def test_only_a_change_for_the_worse_is_at_once(
    before: Limit, after: Limit, expected: bool
) -> None:  # fmt: skip
    assert is_at_once(HELD, before, after) is expected


@pytest.mark.parametrize(
    ("before", "after", "keys"),
    [
        (Limit(0, "noeviction"), Limit(KIB, "allkeys-lru"), 900),
        (Limit(KIB, "volatile-lru"), Limit(KIB, "allkeys-lfu"), 900),
        (Limit(KIB, "allkeys-lru"), Limit(KIB, "allkeys-lfu"), 0),
        (Limit(0, "allkeys-lru"), Limit(KIB, "allkeys-lru"), 900),
        (Limit(KIB, "noeviction"), Limit(KIB, "volatile-lru"), 0),
        (Limit(KIB, "noeviction"), Limit(0, "allkeys-lru"), 0),
    ],
)
def test_keys_without_expiry_are_in_danger_from_then_on(
    before: Limit, after: Limit, keys: int
) -> None:  # fmt: skip
    assert newly_endangered(HELD, before, after) == keys


def test_a_fork_takes_a_quarter_and_replication_its_buffers() -> None:
    needs = room([Footprint(1000, 50, True), Footprint(400, 0, False)], 1700)
    assert (needs.maxmemory, needs.fork_bytes, needs.replication_bytes) == (1400, 250, 50)
    assert needs.needed_bytes == 1700
    assert not needs.is_tight
    assert room([Footprint(1000, 50, True), Footprint(401, 0, False)], 1700).is_tight


def test_keys_that_alone_take_more_than_there_is_exceed_it() -> None:
    assert room([Footprint(1001, 0, False)], 1000).is_exceeded
    assert not room([Footprint(1000, 0, True)], 1000).is_exceeded


def test_of_a_machine_that_nobody_knows_nothing_is_said() -> None:
    unknown = room([Footprint(10**15, 0, True)], None)
    assert not unknown.is_exceeded
    assert not unknown.is_tight


@pytest.mark.parametrize("forks", [True, False])
def test_the_largest_that_fits_fits_and_one_more_does_not(forks: bool) -> None:
    other, machine = Footprint(1000, 10, True), 10_000
    largest = largest_fitting(Footprint(0, 77, forks), [other], machine)
    assert not room([Footprint(largest, 77, forks), other], machine).is_tight
    assert room([Footprint(largest + 1, 77, forks), other], machine).is_tight


def test_nothing_fits_beside_others_that_need_all() -> None:
    assert largest_fitting(Footprint(0, 0, False), [Footprint(2000, 0, False)], 1000) == 0
