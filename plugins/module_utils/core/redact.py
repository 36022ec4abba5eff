# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets taken out of everything that leaves an operation."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

MASK = "********"
SECRET_NAME = re.compile(r"(?i)pass(word|wd)?|secret|token|api_?key|private_?key|credential")
_URL_PASSWORD = re.compile(r"(?P<head>\b[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s/@]+(?=@)", re.I)
_SHORTEST = 4


def redact_text(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` with the secrets and every password inside a URL masked.

    Secrets of fewer than 4 characters are left alone: masking them would garble the text
    without hiding anything that cannot be guessed.
    """
    return _redacted(text, _longest_first(secrets))


def redact(value: Any, secrets: Iterable[str] = ()) -> Any:
    """`value` with every string in it redacted, keys too; other types unchanged."""
    return _redacted_value(value, _longest_first(secrets))


def _longest_first(secrets: Iterable[str]) -> list[str]:
    """The secrets worth masking, so ordered that none is cut up by a shorter one."""
    worth_masking = {secret for secret in secrets if len(secret) >= _SHORTEST}
    return sorted(worth_masking, key=len, reverse=True)


def _redacted(text: str, secrets: list[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, MASK)
    if "@" not in text:
        return text
    # Not a template: compiling one costs 10 ms in every worker of the controller.
    return _URL_PASSWORD.sub(lambda match: match["head"] + MASK, text)


def _redacted_value(value: Any, secrets: list[str]) -> Any:
    if isinstance(value, str):
        return _redacted(value, secrets)
    if isinstance(value, dict):
        return {_redacted_value(k, secrets): _redacted_value(v, secrets) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_redacted_value(item, secrets) for item in value]
    return value


def secret_values(params: Any, spec: dict[str, dict[str, Any]]) -> set[str]:
    """The texts given to options that the argument spec marks `no_log`."""
    found: set[str] = set()
    for name, option in spec.items():
        value = params.get(name) if isinstance(params, dict) else None
        if value is None:
            continue
        if option.get("no_log"):
            found.update(_texts(value))
        elif option.get("options"):
            for item in value if isinstance(value, list) else [value]:
                found.update(secret_values(item, option["options"]))
    return found


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts(item)
    elif not isinstance(value, bool):
        yield str(value)
