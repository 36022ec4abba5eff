# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One form for the same input, whether it came from the CLI, JSON or a survey.

AWX survey answers arrive as untrusted strings, and ansible-core 2.19 and later re-types them as
YAML; the CLI gives strings. An empty string means that the option was left unset.
"""

from __future__ import annotations

import json
from typing import Any

from .errors import OperationError, Reason

Spec = dict[str, dict[str, Any]]


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
    suboptions = option.get("options")
    if suboptions and isinstance(value, dict):
        return _options(value, suboptions)
    if suboptions and isinstance(value, list):
        return [_options(v, suboptions) if isinstance(v, dict) else v for v in value]
    if isinstance(value, str) and option.get("type", "str") != "str":
        return _parsed(value.strip(), option["type"])
    if option.get("type", "str") == "str" and isinstance(value, (bool, float)):
        raise OperationError(
            Reason.INVALID_INPUT,
            f"read option {name}",
            f"it arrived as the {type(value).__name__} {json.dumps(value)}, "
            "so its text as written is lost",
            "Quote it, or use text that YAML does not read as a number, date or yes/no",
        )
    return value


def _parsed(text: str, kind: str) -> Any:
    """Lists and dicts written as JSON; other text is left to the argument spec."""
    opening = {"list": "[", "dict": "{"}.get(kind)
    if opening and text.startswith(opening):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text
