# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values as Redis reads and writes them: one class a type, each with what equals what.

Sources: `memtoull` and `config.c` of Redis 6.2 to 8.2, and the comments in its redis.conf.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from ..core.readable import size_text

_SIZE = re.compile(r"(\d+)(b|k|kb|m|mb|g|gb)?\Z", re.IGNORECASE)
_UNITS = {"": 1, "b": 1, "k": 1000, "kb": 1 << 10, "m": 1000**2, "mb": 1 << 20, "g": 1000**3}
_UNITS["gb"] = 1 << 30
_LARGEST = (1 << 63) - 1
_INTEGER = re.compile(r"[+-]?\d+\Z")
_DURATION = re.compile(r"(\d+)\s*(us|ms|s|m|h|d)\Z")
_MICROSECONDS = {"us": 1, "ms": 1000, "s": 10**6, "m": 60 * 10**6, "h": 3600 * 10**6}
_MICROSECONDS["d"] = 24 * _MICROSECONDS["h"]
_TRUTH = {"yes": "yes", "true": "yes", "no": "no", "false": "no"}
# `A` in notify-keyspace-events, as redis.conf explains it; `n` and `m` are not part of it.
_ALL_EVENTS = "g$lshzxetd"


class InvalidValue(Exception):
    """A text that Redis would not read: what is wrong, and what to give."""

    def __init__(self, seen: str, next_step: str) -> None:
        self.seen = seen
        self.next_step = next_step
        super().__init__(seen)


class Kind(Protocol):
    """The type of a setting."""

    def canonical(self, text: str) -> str:
        """The text for the same value that Redis itself would show; `InvalidValue`."""

    def complete(self, text: str, current: str) -> str:
        """The canonical value after a change to `text`, which may leave parts as they are."""

    def shown(self, text: str) -> str:
        """A canonical value for a person."""


class _Whole:
    """A value that a change replaces whole."""

    def complete(self, text: str, current: str) -> str:
        del current
        return text

    def shown(self, text: str) -> str:
        return text or '""'


class Text(_Whole):
    """Anything."""

    def canonical(self, text: str) -> str:
        return text


class Boolean(_Whole):
    """`yes` or `no`; YAML's true and false are the same."""

    def canonical(self, text: str) -> str:
        try:
            return _TRUTH[text.lower()]
        except KeyError:
            raise InvalidValue(f"{text!r} is neither yes nor no", "Give yes or no") from None


class Integer(_Whole):
    """A whole number."""

    def canonical(self, text: str) -> str:
        if not _INTEGER.match(text):
            raise InvalidValue(f"{text!r} is no whole number", "Give digits")
        return str(int(text))


class Memory(_Whole):
    """Bytes: `2gb` is 2147483648, `2g` is 2000000000, as redis.conf explains its units."""

    def canonical(self, text: str) -> str:
        return str(size_bytes(text))

    def shown(self, text: str) -> str:
        return size_text(int(text)) if int(text) else "0"


class MemoryOrPercent(Memory):
    """Bytes, or a share of maxmemory such as `5%`."""

    def canonical(self, text: str) -> str:
        if re.match(r"\d+%\Z", text):
            return f"{int(text[:-1])}%"
        return super().canonical(text)

    def shown(self, text: str) -> str:
        return text if text.endswith("%") else super().shown(text)


@dataclass(frozen=True)
class Duration(_Whole):
    """A number of the setting's own unit; `90s` and `5m` are turned into it."""

    unit: str

    def canonical(self, text: str) -> str:
        match = _DURATION.match(text)
        if not match:
            if _INTEGER.match(text):
                return str(int(text))
            raise InvalidValue(
                f"{text!r} is no duration", f"Give a number of {self.unit}, or one such as 90s"
            )
        number, rest = divmod(
            int(match.group(1)) * _MICROSECONDS[match.group(2)], _MICROSECONDS[self.unit]
        )
        if rest:
            raise InvalidValue(
                f"{text!r} is no whole number of {self.unit}", f"Redis counts it in {self.unit}"
            )
        return str(number)

    def shown(self, text: str) -> str:
        return text if text in ("0", "-1") else f"{text} {self.unit}"


@dataclass(frozen=True)
class Choice(_Whole):
    """One of some words."""

    words: tuple[str, ...]

    def canonical(self, text: str) -> str:
        if text.lower() in self.words:
            return text.lower()
        raise InvalidValue(
            f"{text!r} is none of its values",
            did_you_mean(text, self.words) or f"Give one of {', '.join(self.words)}",
        )


class Words(_Whole):
    """Words with spaces between."""

    def canonical(self, text: str) -> str:
        return " ".join(text.split())


class Save(_Whole):
    """Pairs of seconds and changes; their order means nothing. Without any, no snapshots."""

    def canonical(self, text: str) -> str:
        numbers = text.split()
        if len(numbers) % 2 or not all(re.match(r"\d+\Z", number) for number in numbers):
            raise InvalidValue(
                f"{text!r} is no list of pairs",
                'Give seconds and changes such as "900 1 300 10", or [] for no snapshots',
            )
        pairs = zip(map(int, numbers[::2]), map(int, numbers[1::2]))
        return " ".join(f"{seconds} {changes}" for seconds, changes in sorted(pairs, reverse=True))


class OutputLimits:
    """A hard limit, a soft one and its seconds for classes of clients; the others stay."""

    _CLASSES = ("normal", "replica", "pubsub")

    def canonical(self, text: str) -> str:
        words = text.split()
        if len(words) % 4 or not words:
            raise InvalidValue(
                f"{text!r} is no list of limits", "Give CLASS HARD SOFT SECONDS, such as "
                '"replica 256mb 64mb 60"',
            )  # fmt: skip
        limits = {}
        for position in range(0, len(words), 4):
            name, hard, soft, seconds = words[position : position + 4]
            name = "replica" if name.lower() == "slave" else name.lower()
            Choice(self._CLASSES).canonical(name)
            limits[name] = f"{size_bytes(hard)} {size_bytes(soft)} {Integer().canonical(seconds)}"
        return self._text(limits)

    def complete(self, text: str, current: str) -> str:
        return self._text({**self._limits(current), **self._limits(text)})

    def shown(self, text: str) -> str:
        parts = []
        for name, limits in self._limits(text).items():
            hard, soft, seconds = limits.split()
            parts.append(f"{name} {Memory().shown(hard)} {Memory().shown(soft)} {seconds} s")
        return ", ".join(parts)

    def _limits(self, text: str) -> dict[str, str]:
        words = self.canonical(text).split()
        return {words[n]: " ".join(words[n + 1 : n + 4]) for n in range(0, len(words), 4)}

    def _text(self, limits: dict[str, str]) -> str:
        return " ".join(f"{name} {limits[name]}" for name in self._CLASSES if name in limits)


class EventFlags(_Whole):
    """The letters of notify-keyspace-events; `A` stands for most of them."""

    def canonical(self, text: str) -> str:
        letters = set(text.replace("A", _ALL_EVENTS))
        unknown = letters - set(_ALL_EVENTS + "KEmno")
        if unknown:
            raise InvalidValue(
                f"{sorted(unknown)[0]!r} is no event class", "Give letters of Ag$lshzxeKEtmdn"
            )
        return "".join(sorted(letters))


def size_bytes(text: str) -> int:
    """Bytes of a size as Redis parses it; `InvalidValue`."""
    match = _SIZE.match(text)
    size = int(match.group(1)) * _UNITS[(match.group(2) or "").lower()] if match else -1
    if not 0 <= size <= _LARGEST:
        raise InvalidValue(
            f"{text!r} is no size that Redis reads",
            "Give bytes, or a whole number with kb, mb or gb (2gb is 2147483648, 2g 2000000000)",
        )
    return size


def did_you_mean(text: str, words: Iterable[str]) -> str | None:
    """The advice that names the likeliest of these words; None when none is like the text."""
    wanted = text.lower().replace("_", "-")
    near = difflib.get_close_matches(wanted, list(words), n=1, cutoff=0.7)
    return f"Did you mean {near[0]}" if near else None


def plain_text(given: Any) -> str | None:
    """What YAML gave, as one text; None is unset. Lists are written with spaces between.

    Raises `InvalidValue` for numbers with a fraction and for what is no value.
    """
    if given is None:
        return None
    if isinstance(given, bool):
        return "yes" if given else "no"
    if isinstance(given, (list, tuple)):
        return " ".join(part for part in map(plain_text, given) if part)
    if isinstance(given, dict):
        return " ".join(
            f"{name} {plain_text(value) or ''}".strip() for name, value in given.items()
        )
    if isinstance(given, float):
        raise InvalidValue(f"{given} is no whole number", "Give a smaller unit, such as mb for gb")
    return str(given).strip()
