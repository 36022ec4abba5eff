# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One form for the same input, whether it came from the CLI, JSON or a survey.

AWX survey answers arrive as untrusted strings, and ansible-core 2.19 and later re-types them as
YAML; the CLI gives strings. An empty string means that the option was left unset.
"""

from __future__ import annotations

import json
from typing import Any

from .errors import invalid_option

Spec = dict[str, dict[str, Any]]

_NO_INTEGERS = ("inf", "infinity", "nan")


def normalise(arguments: dict[str, Any], spec: Spec) -> dict[str, Any]:
    """Plain JSON values without unset options; nested suboptions included.

    Raises `invalid_input` for text that YAML turned into another type with loss: a release
    `1.10` that arrived as the number 1.1 names another release.
    """
    plain: dict[str, Any] = json.loads(json.dumps(arguments, default=str))
    return _options(plain, spec)


def _options(arguments: dict[str, Any], spec: Spec) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, value in arguments.items():
        if value is None or value == "":
            continue
        kept[name] = _value(name, value, spec.get(name, {}))
    return kept


def _value(name: str, value: Any, option: dict[str, Any]) -> Any:
    kind = option.get("type", "str")
    if kind == "str":
        return _text(name, value)
    if isinstance(value, str):
        value = _parsed(value.strip(), kind)
    if kind == "int" and str(value).lstrip("+-").lower() in _NO_INTEGERS:
        raise invalid_option(name, f"{value} is no whole number", "Give digits")
    suboptions = option.get("options")
    if kind == "dict" and not isinstance(value, (dict, str)):
        raise invalid_option(name, f"{value!r} is no dictionary", "Give names and values")
    if suboptions and isinstance(value, dict):
        return _options(value, suboptions)
    if suboptions and isinstance(value, list):
        return [_element(name, item, suboptions) for item in value]
    return value


def _text(name: str, value: Any) -> Any:
    if not isinstance(value, (bool, float)):
        return value
    raise invalid_option(
        name,
        f"it arrived as the {type(value).__name__} {json.dumps(value)}, "
        "so its text as written is lost",
        "Quote it, or use text that YAML does not read as a number, date or yes/no",
    )


def _element(name: str, item: Any, suboptions: Spec) -> Any:
    if isinstance(item, dict):
        return _options(item, suboptions)
    if isinstance(item, str):  # "a=1, b=2", which the argument spec takes apart
        return item
    raise invalid_option(name, f"its element {item!r} is no dictionary", "Give names and values")


def _parsed(text: str, kind: str) -> Any:
    """Lists and dicts written as JSON; other text is left to the argument spec."""
    opening = {"list": "[", "dict": "{"}.get(kind)
    if opening and text.startswith(opening):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text
