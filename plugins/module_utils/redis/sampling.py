# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bounded look into a keyspace: so many keys drawn at random, whatever their number.

RANDOMKEY and MEMORY USAGE take the same time in a keyspace of any size. KEYS is never used.
"""

from __future__ import annotations

from typing import Any

from .foresight import KeySample, Keyspace
from .node import Command, Node

# The mean of so many is within a tenth of the true one, 19 times in 20, where sizes vary by half.
SAMPLES = 100
# Elements of a nested value that MEMORY USAGE looks at, its own default.
_ELEMENTS = 5


def read_keyspace(info: dict[str, Any]) -> Keyspace:
    """The counts in INFO."""
    databases = _databases(info)
    return Keyspace(
        max(0, int(info.get("used_memory", 0)) - int(info.get("mem_not_counted_for_evict", 0))),
        sum(keys for keys, _expiring in databases.values()),
        sum(expiring for _keys, expiring in databases.values()),
    )


def sample_keys(node: Node, info: dict[str, Any], purpose: str) -> list[KeySample]:
    """Up to SAMPLES keys of all databases, in proportion to their keys; two round trips.

    Keys that went meanwhile are left out.
    """
    databases = _databases(info)
    total = sum(keys for keys, _expiring in databases.values())
    if not total:
        return []
    shares = {
        number: max(1, round(SAMPLES * keys / total))
        for number, (keys, _expiring) in databases.items()
    }
    drawn = _in_databases(
        node, purpose, {number: [("RANDOMKEY",)] * share for number, share in shares.items()}
    )
    measures = {
        number: [
            command
            for key in keys
            if key is not None
            for command in (("MEMORY USAGE", key, "SAMPLES", _ELEMENTS), ("PTTL", key))
        ]
        for number, keys in drawn.items()
    }
    samples = []
    for answers in _in_databases(node, purpose, measures).values():
        for size, ttl_ms in zip(answers[::2], answers[1::2]):
            if size is not None:
                samples.append(KeySample(int(size), int(ttl_ms) >= 0))
    return samples


def _in_databases(
    node: Node, purpose: str, wanted: dict[int, list[Command]]
) -> dict[int, list[Any]]:
    """The answers to commands in several databases, all in one round trip, and back to the first.

    A cluster has one database, and refuses SELECT.
    """
    only_first = set(wanted) == {0}
    commands: list[Command] = []
    for number, each in wanted.items():
        commands += each if only_first else [("SELECT", number), *each]
    if not only_first:
        commands.append(("SELECT", 0))
    answers = iter(node.ask(purpose, *commands))
    found = {}
    for number, each in wanted.items():
        if not only_first:
            next(answers)
        found[number] = [next(answers) for _command in each]
    return found


def _databases(info: dict[str, Any]) -> dict[int, tuple[int, int]]:
    """Keys, and keys with expiry, of each database that has any."""
    return {
        int(name[2:]): (int(counts["keys"]), int(counts["expires"]))
        for name, counts in info.items()
        if name.startswith("db") and name[2:].isdigit() and isinstance(counts, dict)
    }
