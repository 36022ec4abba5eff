# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values as Redis reads them: what equals what, and what is no value."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.redis.values import (
    Boolean,
    Choice,
    Duration,
    EventFlags,
    Integer,
    InvalidValue,
    Kind,
    Memory,
    MemoryOrPercent,
    OutputLimits,
    Save,
    Text,
    Words,
    did_you_mean,
    plain_text,
)

POLICY = Choice(("allkeys-lru", "volatile-lru", "noeviction"))


@pytest.mark.parametrize(
    ("kind", "text", "canonical"),
    [
        # The units are those that redis.conf explains.
        (Memory(), "1k", "1000"),
        (Memory(), "1kb", "1024"),
        (Memory(), "1m", "1000000"),
        (Memory(), "1mb", "1048576"),
        (Memory(), "2g", "2000000000"),
        (Memory(), "2gb", "2147483648"),
        (Memory(), "2GB", "2147483648"),
        (Memory(), "5b", "5"),
        (Memory(), "0", "0"),
        (MemoryOrPercent(), "5%", "5%"),
        (MemoryOrPercent(), "1mb", "1048576"),
        (Integer(), "+07", "7"),
        (Integer(), "-2", "-2"),
        (Boolean(), "YES", "yes"),
        (Boolean(), "false", "no"),
        (Duration("s"), "5m", "300"),
        (Duration("s"), "90", "90"),
        (Duration("ms"), "5 s", "5000"),
        (Duration("us"), "10ms", "10000"),
        (Duration("us"), "-1", "-1"),
        (Duration("m"), "1h", "60"),
        (Duration("s"), "1d", "86400"),
        (POLICY, "AllKeys-LRU", "allkeys-lru"),
        (Words(), " a  b ", "a b"),
        (Text(), "as it is", "as it is"),
        (Save(), "300 10 900 1", "900 1 300 10"),
        (Save(), "", ""),
        (OutputLimits(), "slave 1mb 0 60", "replica 1048576 0 60"),
        (EventFlags(), "KEA", "$EKdeghlstxz"),
        (EventFlags(), "", ""),
    ],
)
def test_the_same_value_has_one_text(kind: Kind, text: str, canonical: str) -> None:
    assert kind.canonical(text) == canonical
    assert kind.canonical(canonical) == canonical


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Memory(), "2 gigs"),
        (Memory(), "2 gb"),
        (Memory(), "-1"),
        (Memory(), "1.5gb"),
        (Memory(), "gb"),
        (Memory(), ""),
        (Memory(), "5%"),
        (Memory(), "9223372036854775808"),
        (Integer(), "1e3"),
        (Integer(), "1_000"),
        (Boolean(), "on"),
        (Duration("s"), "1500ms"),
        (Duration("s"), "soon"),
        (Duration("s"), "1.5m"),
        (POLICY, "lru"),
        (Save(), "900"),
        (Save(), "900 -1"),
        (Save(), "every hour"),
        (OutputLimits(), "pubsub 1mb"),
        (OutputLimits(), "pubsub 1mb 1mb soon"),
        (OutputLimits(), "master 1mb 1mb 1"),
        (EventFlags(), "KEQ"),
    ],
)
def test_what_redis_would_not_read_is_no_value(kind: Kind, text: str) -> None:
    with pytest.raises(InvalidValue) as error:
        kind.canonical(text)
    assert error.value.seen
    assert error.value.next_step


def test_limits_of_other_classes_stay() -> None:
    now = "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60"
    after = OutputLimits().complete("pubsub 1048576 0 0", OutputLimits().canonical(now))
    assert after == "normal 0 0 0 replica 268435456 67108864 60 pubsub 1048576 0 0"


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (None, None),
        ("", ""),
        (" 2gb ", "2gb"),
        (True, "yes"),
        (False, "no"),
        (16, "16"),
        ([], ""),
        ([[900, 1], [300, 10]], "900 1 300 10"),
        (["900 1", "300 10"], "900 1 300 10"),
        ({"pubsub": "1mb 1mb 60"}, "pubsub 1mb 1mb 60"),
    ],
)
def test_what_yaml_gives_becomes_one_text(given: Any, text: str | None) -> None:
    assert plain_text(given) == text


def test_a_fraction_is_no_value() -> None:
    with pytest.raises(InvalidValue):
        plain_text(1.5)


@pytest.mark.parametrize(
    ("kind", "text", "shown"),
    [
        (Memory(), "2147483648", "2.00 GiB"),
        (Memory(), "0", "0"),
        (Duration("s"), "300", "300 s"),
        (Duration("us"), "-1", "-1"),
        (Save(), "", '""'),
        (OutputLimits(), "pubsub 1048576 0 60", "pubsub 1.00 MiB 0 60 s"),
    ],
)
def test_values_are_shown_with_their_units(kind: Kind, text: str, shown: str) -> None:
    assert kind.shown(text) == shown


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("maxmemory_policy", "Did you mean maxmemory-policy"),
        ("maxmemry", "Did you mean maxmemory"),
        ("quite another thing", None),
    ],
)
def test_a_misspelt_word_is_told_the_likeliest(text: str, advice: str | None) -> None:
    assert did_you_mean(text, ["maxmemory", "maxmemory-policy", "timeout"]) == advice
