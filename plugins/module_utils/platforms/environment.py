# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The environment variables that the replicas of an agent are started with."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ..core.errors import invalid_option
from ..core.redact import MASK, SECRET_NAME, redact_text

# What the drivers set themselves for every replica.
RELEASE_VARIABLE = "RELEASE_ID"
REPLICA_VARIABLE = "COST_AGENT_REPLICA"
PYTHON_VARIABLE = "COST_AGENT_PYTHON"
APP_VARIABLE = "COST_AGENT_APP"
WORKERS_VARIABLE = "COST_AGENT_WORKERS"
_RESERVED = (
    *(RELEASE_VARIABLE, REPLICA_VARIABLE),
    *(PYTHON_VARIABLE, APP_VARIABLE, WORKERS_VARIABLE),
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


@dataclass(frozen=True)
class Environment:
    """Plain and secret variables; a name is in one of the two only."""

    plain: Mapping[str, str] = field(default_factory=dict)
    secret: Mapping[str, str] = field(default_factory=dict)

    def variables(self) -> dict[str, str]:
        """All of them, as a process gets them."""
        return {**self.plain, **self.secret}

    def digest(self) -> str:
        """The same for the same variables, whichever of them are secret."""
        text = json.dumps(self.variables(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def updated(
        self, plain: Mapping[str, Any] | None, secret: Mapping[str, Any] | None
    ) -> Environment:
        """With either part replaced by the given one; None keeps that part.

        A kept variable that the other part now names moves there. Raises `invalid_input` for
        names and values that no process can have, and for a name given in both parts.
        """
        new_plain = _texts("environment", plain)
        new_secret = _texts("environment_secrets", secret)
        both = sorted(set(new_plain or {}) & set(new_secret or {}))
        if both:
            raise invalid_option(
                "environment", f"{', '.join(both)} is in environment_secrets too", "Give it once"
            )
        kept_plain = {k: v for k, v in self.plain.items() if k not in (new_secret or {})}
        kept_secret = {k: v for k, v in self.secret.items() if k not in (new_plain or {})}
        return Environment(
            kept_plain if new_plain is None else new_plain,
            kept_secret if new_secret is None else new_secret,
        )

    def shown(self, before: Environment | None = None) -> dict[str, str]:
        """For a diff: names with values, secret values masked.

        A masked value that differs from the one `before` says so, and nothing else of it.
        """
        earlier = before.variables() if before else {}
        return {
            name: self._shown_value(name, value, earlier.get(name, value))
            for name, value in sorted(self.variables().items())
        }

    def _shown_value(self, name: str, value: str, earlier: str) -> str:
        text = MASK if self._is_secret(name) else redact_text(value)
        return f"{text} (changed)" if MASK in text and value != earlier else text

    def secret_values(self) -> set[str]:
        """The texts to keep out of everything shown: secret values and passwords in URLs."""
        found = set(self.secret.values())
        found.update(v for k, v in self.plain.items() if self._is_secret(k) and not _is_setting(v))
        for value in self.variables().values():
            password = _url_password(value)
            if password:
                found.add(password)
        return found

    def _is_secret(self, name: str) -> bool:
        return name in self.secret or bool(SECRET_NAME.search(name))


def _texts(option: str, values: Mapping[str, Any] | None) -> dict[str, str] | None:
    if values is None:
        return None
    return {_name(option, k): _text(option, k, v) for k, v in values.items() if v is not None}


def _name(option: str, name: Any) -> str:
    if not isinstance(name, str) or not _NAME.match(name):
        raise invalid_option(
            option,
            f"{name!r} is not the name of a variable",
            "Use letters, digits and underscores, and no digit in front",
        )
    if name in _RESERVED:
        raise invalid_option(
            option, f"{name} is set for every replica by the driver", "Leave it out"
        )
    return name


def _text(option: str, name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if not isinstance(value, str) or "\0" in value:
        kind = type(value).__name__ if not isinstance(value, str) else "text with a NUL"
        raise invalid_option(
            option, f"the value of {name} is a {kind}", "Give plain text or a number"
        )
    return value


def _is_setting(value: str) -> bool:
    """A number or a switch, such as TOKEN_TTL=3600: masking it would garble every log."""
    return value.isdigit() or value.lower() in ("true", "false", "yes", "no", "none")


def _url_password(value: str) -> str | None:
    if "://" not in value:
        return None
    try:
        return urlsplit(value).password
    except ValueError:
        return None
