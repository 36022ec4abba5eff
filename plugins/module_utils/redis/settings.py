# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings that are wanted, read from the option once, and how they differ from a server's."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..core.errors import OperationError, Reason, invalid_option
from .known_settings import IMMUTABLE, KINDS, SECRETS, kind_of, may_be_empty
from .values import InvalidValue, Kind, did_you_mean, plain_text

# A glob would make CONFIG GET answer with other settings than the one that is meant.
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*\Z")


@dataclass(frozen=True)
class Change:
    """A setting that is not as wanted; both values are canonical."""

    name: str
    before: str
    after: str
    kind: Kind

    @property
    def needs_restart(self) -> bool:
        return self.name in IMMUTABLE

    @property
    def shown(self) -> tuple[str, str]:
        """Before and after for a person."""
        return self.kind.shown(self.before), self.kind.shown(self.after)


def read_settings(given: dict[str, Any], allow_unlimited: bool) -> dict[str, str]:
    """Names and texts, types checked where they are known; `invalid_input` names the setting.

    None is unset, and so is an empty text for a setting that has no such value.
    """
    wanted: dict[str, str] = {}
    for key, value in given.items():
        name = str(key).strip().lower()
        option = f"settings.{name}"
        if not _NAME.match(name):
            raise invalid_option("settings", f"{key!r} is no name of a setting", "See redis.conf")
        if name in wanted:
            raise invalid_option(option, "it is there twice", "Give it once")
        if name in SECRETS:
            raise invalid_option(
                option,
                "it is a secret, and settings are shown",
                "Set it in the server's configuration file, or make an ACL user",
            )
        text = _valid(option, name, value)
        if text is not None:
            wanted[name] = text
    if wanted.get("maxmemory") == "0" and not allow_unlimited:
        raise invalid_option(
            "settings.maxmemory",
            "0 means that Redis may take all memory there is",
            "Give a limit, or allow_unlimited: true",
        )
    return wanted


def _valid(option: str, name: str, value: Any) -> str | None:
    kind = KINDS.get(name)
    try:
        text = plain_text(value)
        is_list = isinstance(value, (list, tuple))
        if text is None or (text == "" and not is_list and kind and not may_be_empty(kind)):
            return None
        return kind.canonical(text) if kind else text
    except InvalidValue as error:
        raise invalid_option(option, error.seen, error.next_step) from error


def compare(wanted: dict[str, str], current: dict[str, str]) -> list[Change]:
    """What is not as wanted, in the order in which it is safe to change it one by one.

    `current` has every name in `wanted`. Raises `invalid_input`.
    """
    changes = []
    for name, text in wanted.items():
        kind = kind_of(name, current[name])
        if text == "" and not may_be_empty(kind):
            continue
        try:
            before = kind.canonical(current[name])
            after = kind.complete(kind.canonical(text), before)
        except InvalidValue as error:
            raise invalid_option(f"settings.{name}", error.seen, error.next_step) from error
        if before != after:
            changes.append(Change(name, before, after, kind))
    return sorted(changes, key=_step)


def _step(change: Change) -> int:
    """More memory comes first and less comes last: in between, nothing is evicted needlessly."""
    if change.name != "maxmemory":
        return 0
    grows = change.after == "0" or 0 < int(change.before) < int(change.after)
    return -1 if grows else 1


def unknown_setting(name: str, address: str, known: Iterable[str]) -> OperationError:
    """The `invalid_input` for a setting that the server does not have."""
    return OperationError(
        Reason.INVALID_INPUT,
        f"read option settings.{name}",
        f"{address} has no setting {name}",
        did_you_mean(name, known) or "See its redis.conf, or CONFIG GET *, for the names",
    )
