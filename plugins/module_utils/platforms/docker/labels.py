# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container's labels say of it: whose replica it is, and what it was started from.

Labels are shown to everybody who lists containers, so they hold no secret: of the environment
its digest and its variables' names. The values are in the container's environment, and read back
from there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..environment import Environment
from ..protocol import Specification
from .options import LABEL_PREFIX

AGENT = f"{LABEL_PREFIX}agent"
CLAIM = f"{LABEL_PREFIX}claim"
RELEASE = f"{LABEL_PREFIX}release"
RELEASE_DIGEST = f"{LABEL_PREFIX}release_digest"
ENVIRONMENT_DIGEST = f"{LABEL_PREFIX}environment_digest"
PLAIN_NAMES = f"{LABEL_PREFIX}environment"
SECRET_NAMES = f"{LABEL_PREFIX}environment_secrets"
OPTIONS = f"{LABEL_PREFIX}options"


@dataclass(frozen=True)
class Ownership:
    """Which agent a container belongs to: its name, and the id of the state store it lives in."""

    agent: str
    claim: str

    def owns(self, labels: Mapping[str, str]) -> bool:
        return labels.get(AGENT) == self.agent and labels.get(CLAIM) == self.claim


def labels_of(
    ownership: Ownership, specification: Specification, environment: Environment
) -> dict[str, str]:
    """The labels of a new container."""
    return {
        AGENT: ownership.agent,
        CLAIM: ownership.claim,
        RELEASE: specification.release,
        RELEASE_DIGEST: specification.release_digest,
        ENVIRONMENT_DIGEST: specification.environment_digest,
        PLAIN_NAMES: _text(sorted(environment.plain)),
        SECRET_NAMES: _text(sorted(environment.secret)),
        OPTIONS: _text(specification.options or {}),
    }


def specification_of(labels: Mapping[str, str]) -> Specification:
    """What a container of ours was started from; a label that is gone differs from every other."""
    return Specification(
        release=labels.get(RELEASE, ""),
        release_digest=labels.get(RELEASE_DIGEST, ""),
        environment_digest=labels.get(ENVIRONMENT_DIGEST, ""),
        options=_parsed(labels.get(OPTIONS), dict) or {},
    )


def environment_of(labels: Mapping[str, str], variables: Mapping[str, str]) -> Environment:
    """The agent's environment out of a container's, which has the image's variables too."""
    plain = _parsed(labels.get(PLAIN_NAMES), list) or []
    secret = _parsed(labels.get(SECRET_NAMES), list) or []
    return Environment(
        {name: variables[name] for name in plain if name in variables},
        {name: variables[name] for name in secret if name in variables},
    )


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _parsed(text: str | None, kind: type) -> Any:
    try:
        value = json.loads(text or "null")
    except ValueError:
        return None
    return value if isinstance(value, kind) else None
