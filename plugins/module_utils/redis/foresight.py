# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a change of maxmemory or of its policy would do, from measurements, before it is made."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

# What a fork may copy while it writes a snapshot, as a share of maxmemory. Redis's own
# documentation warns of up to all of it under heavy writes; Amazon ElastiCache reserves a quarter
# by default for snapshots and replication (reserved-memory-percent).
FORK_SHARE = 0.25


@dataclass(frozen=True)
class KeySample:
    """One key that was drawn: its bytes by MEMORY USAGE, and whether it expires."""

    size_bytes: int
    expires: bool


@dataclass(frozen=True)
class Limit:
    """maxmemory in bytes, 0 for none, and what happens at it."""

    maxmemory: int
    policy: str

    @property
    def evicts_all(self) -> bool:
        return self.policy.startswith("allkeys-")

    @property
    def evicts_volatile(self) -> bool:
        return self.policy.startswith("volatile-")


@dataclass(frozen=True)
class Keyspace:
    """What a server holds.

    `counted_bytes` is what it compares with maxmemory: used memory less the buffers that it
    leaves out (mem_not_counted_for_evict).
    """

    counted_bytes: int
    keys: int
    expiring: int

    @property
    def lasting(self) -> int:
        """Keys without expiry."""
        return max(0, self.keys - self.expiring)

    def over(self, limit: Limit) -> int:
        """How many bytes are too many for a limit."""
        return max(0, self.counted_bytes - limit.maxmemory) if limit.maxmemory else 0


@dataclass(frozen=True)
class Eviction:
    """What goes as soon as the change is made.

    `over_bytes` is what must go, `evicted_bytes` what can; `evicted_keys` is about right, None
    where no key could be measured. Where not enough may go, writes are refused from then on.
    """

    over_bytes: int = 0
    evicted_bytes: int = 0
    evicted_keys: int | None = 0
    refuses_writes: bool = False

    @property
    def harms(self) -> bool:
        return self.over_bytes > 0


def is_at_once(keyspace: Keyspace, before: Limit, after: Limit) -> bool:
    """Whether a change makes Redis evict, or refuse writes, that it did not before."""
    over = keyspace.over(after)
    return over > 0 and (over > keyspace.over(before) or before.policy != after.policy)


def eviction(keyspace: Keyspace, after: Limit, samples: Sequence[KeySample]) -> Eviction:
    """What a limit evicts at once, by the mean size of the sampled keys that it may evict."""
    over = keyspace.over(after)
    if over == 0:
        return Eviction()
    candidates = _candidates(keyspace, after)
    if candidates == 0:
        return Eviction(over, refuses_writes=True)
    eligible = [each for each in samples if after.evicts_all or each.expires] or samples
    if not eligible:
        return Eviction(over, over, None)
    mean = sum(each.size_bytes for each in eligible) / len(eligible)
    needed = math.ceil(over / mean)
    if needed <= candidates:
        return Eviction(over, over, needed)
    return Eviction(over, round(candidates * mean), candidates, refuses_writes=True)


def _candidates(keyspace: Keyspace, limit: Limit) -> int:
    if limit.evicts_all:
        return keyspace.keys
    return keyspace.expiring if limit.evicts_volatile else 0


def newly_endangered(keyspace: Keyspace, before: Limit, after: Limit) -> int:
    """How many keys without expiry may be evicted from now on, and could not be before."""
    could = before.evicts_all and before.maxmemory > 0
    can = after.evicts_all and after.maxmemory > 0
    return keyspace.lasting if can and not could else 0


@dataclass(frozen=True)
class Footprint:
    """What one server may take beside its keys, in bytes; `forks` when it writes snapshots."""

    maxmemory: int
    replication_bytes: int
    forks: bool

    @property
    def fork_bytes(self) -> int:
        return math.ceil(self.maxmemory * FORK_SHARE) if self.forks else 0


@dataclass(frozen=True)
class Room:
    """The servers of one machine against its memory, in bytes; `machine_bytes` None is unknown."""

    maxmemory: int
    replication_bytes: int
    fork_bytes: int
    machine_bytes: int | None

    @property
    def needed_bytes(self) -> int:
        return self.maxmemory + self.replication_bytes + self.fork_bytes

    @property
    def is_exceeded(self) -> bool:
        """Whether the keys alone may take more than there is: the kernel would end Redis."""
        return self.machine_bytes is not None and self.maxmemory > self.machine_bytes

    @property
    def is_tight(self) -> bool:
        """Whether a snapshot or a lagging replica may need more than there is."""
        return self.machine_bytes is not None and self.needed_bytes > self.machine_bytes


def room(footprints: Sequence[Footprint], machine_bytes: int | None) -> Room:
    """The servers on one machine together."""
    return Room(
        sum(each.maxmemory for each in footprints),
        sum(each.replication_bytes for each in footprints),
        sum(each.fork_bytes for each in footprints),
        machine_bytes,
    )


def largest_fitting(footprint: Footprint, others: Sequence[Footprint], machine_bytes: int) -> int:
    """The largest maxmemory of a server that leaves room for all that its machine needs."""
    rest = room(others, machine_bytes)
    left = machine_bytes - rest.needed_bytes - footprint.replication_bytes
    share = 1 + (FORK_SHARE if footprint.forks else 0)
    return max(0, math.floor(left / share))
