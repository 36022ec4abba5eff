# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures what a change of maxmemory would do, and refuses what nobody has agreed to."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ..core.errors import OperationError, Reason
from ..core.readable import count_text, size_text
from .config_change import NodeChange
from .foresight import (
    Eviction,
    Footprint,
    Keyspace,
    Limit,
    Room,
    eviction,
    is_at_once,
    largest_fitting,
    newly_endangered,
    room,
)
from .machine_memory import machine_bytes
from .sampling import read_keyspace, sample_keys
from .topology import Member
from .values import InvalidValue, OutputLimits

LIMITS = ("maxmemory", "maxmemory-policy")
# What foresight reads beside the settings that are wanted, in the same round trip.
READ_FOR_IT = ("save", "client-output-buffer-limit", "replica-ignore-maxmemory")
_AT_LEAST_OVER = 1.05  # a little more than is used now, so that the next write fits


@dataclass(frozen=True)
class Foresight:
    """What is foreseen for one server. Its `room` is that of all servers on its machine."""

    before: Limit
    after: Limit
    keyspace: Keyspace
    eviction: Eviction
    endangered_keys: int
    room: Room
    largest_bytes: int | None

    def as_dict(self) -> dict[str, Any]:
        """For the result's state; sizes in bytes."""
        return {
            "keys": self.keyspace.keys,
            "keys_without_expiry": self.keyspace.lasting,
            "used_bytes": self.keyspace.counted_bytes,
            **asdict(self.eviction),
            "endangered_keys": self.endangered_keys,
            **asdict(self.room),
            "needed_bytes": self.room.needed_bytes,
            "largest_fitting_bytes": self.largest_bytes,
        }


def foresee(
    parts: list[NodeChange], memory_limit: int | None, purpose: str
) -> dict[str, Foresight]:
    """What each server's change of maxmemory or policy would do, by address; keys are sampled.

    `memory_limit` is the bytes that a machine has, None to take what the server sees. Raises
    `failed_state` for a server that is still loading: what it will hold is not known.
    """
    changing = [part for part in parts if _changes_limits(part)]
    return {part.member.node.address: _of(part, parts, memory_limit, purpose) for part in changing}


def _changes_limits(part: NodeChange) -> bool:
    return any(each.name in LIMITS for each in part.changes)


def _of(
    part: NodeChange, parts: list[NodeChange], memory_limit: int | None, purpose: str
) -> Foresight:  # fmt: skip
    member = part.member
    info = member.look.info
    if info.get("loading"):
        raise OperationError(
            Reason.FAILED_STATE,
            f"foresee what a limit does to {member.node.address}",
            "it is still loading its data",
            "Wait until it has, then run this again",
        )
    before, after = limits(part)
    keyspace = read_keyspace(info)
    at_once = Eviction()
    if _evicts_itself(member) and is_at_once(keyspace, before, after):
        at_once = eviction(keyspace, after, sample_keys(member.node, info, purpose))
    neighbours = [each for each in parts if each is not part and _same_machine(each, part)]
    others = [_footprint(each) for each in neighbours]
    own = _footprint(part)
    machine = memory_limit or machine_bytes(info, member.node.server.host)
    return Foresight(
        before,
        after,
        keyspace,
        at_once,
        newly_endangered(keyspace, before, after) if _evicts_itself(member) else 0,
        room([own, *others], machine),
        largest_fitting(own, others, machine) if machine else None,
    )


def limits(part: NodeChange) -> tuple[Limit, Limit]:
    """maxmemory and policy of a server before and after its change."""
    info = part.member.look.info
    before = Limit(int(info.get("maxmemory", 0)), str(info.get("maxmemory_policy", "noeviction")))
    wanted = {each.name: each.after for each in part.changes}
    after = Limit(
        int(wanted.get("maxmemory", before.maxmemory)),
        wanted.get("maxmemory-policy", before.policy),
    )
    return before, after


def _evicts_itself(member: Member) -> bool:
    """A replica only follows its primary's evictions, unless it is told not to."""
    follows = member.look.settings.get("replica-ignore-maxmemory", "yes") != "no"
    return member.is_primary or not follows


def _same_machine(one: NodeChange, other: NodeChange) -> bool:
    return one.member.node.server.host == other.member.node.server.host


def _footprint(part: NodeChange) -> Footprint:
    look = part.member.look
    replicas = int(look.info.get("connected_slaves", 0))
    backlog = int(look.info.get("repl_backlog_size", 0)) if replicas else 0
    settings = {**look.settings, **{each.name: each.after for each in part.changes}}
    has_aof = settings.get("appendonly", "yes" if look.info.get("aof_enabled") else "no") == "yes"
    forks = bool(settings.get("save")) or has_aof or replicas > 0
    _before, after = limits(part)
    return Footprint(after.maxmemory, backlog + replicas * _replica_buffer(part), forks)


def _replica_buffer(part: NodeChange) -> int:
    """How far a replica's output buffer may grow: its hard limit, 0 where it has none."""
    try:
        text = OutputLimits().canonical(
            part.member.look.settings.get("client-output-buffer-limit", "")
        )
    except InvalidValue:
        return 0
    words = text.split()
    return int(words[words.index("replica") + 1]) if "replica" in words else 0


def require_consent(
    foreseen: dict[str, Foresight],
    allow_eviction: bool,
    allow_unlimited: bool,
    details: dict[str, Any],
) -> None:
    """Raise `precondition` for keys that would go, `budget` for memory that is not there."""
    for address, each in foreseen.items():
        wanted = f"set {each.after.policy} with maxmemory {size_text(each.after.maxmemory)}"
        if each.eviction.harms and not allow_eviction:
            enough = size_text(each.keyspace.counted_bytes * _AT_LEAST_OVER)
            raise OperationError(
                Reason.PRECONDITION,
                f"{wanted} on {address}",
                f"at once {eviction_text(each)}",
                f"Give a maxmemory of {enough} or more, or allow_eviction: true",
                **details,
            )
        grows = each.after.maxmemory > each.before.maxmemory > 0 or not each.before.maxmemory
        if each.room.is_exceeded and grows and not allow_unlimited:
            machine = size_text(each.room.machine_bytes or 0)
            raise OperationError(
                Reason.BUDGET,
                f"{wanted} on {address}",
                f"its machine has {machine}, and {size_text(each.room.maxmemory)} would be allowed "
                "there",
                f"Give at most {size_text(each.largest_bytes or 0)}, which leaves room for "
                "replication and snapshots, or allow_unlimited: true",
                **details,
            )


def eviction_text(each: Foresight) -> str:
    """What goes at once, in words."""
    going = each.eviction
    if not going.harms:
        return "nothing is evicted"
    if not going.evicted_bytes:
        return f"writes are refused: {size_text(going.over_bytes)} too much, nothing may be evicted"
    keys = "" if going.evicted_keys is None else f", about {count_text(going.evicted_keys)}"
    text = f"{size_text(going.evicted_bytes)}{keys} of {count_text(each.keyspace.keys)} keys"
    return f"{text} are evicted" + (", and writes refused" if going.refuses_writes else "")
