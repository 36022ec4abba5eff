# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an API server's refusal means, in the closed list of reasons."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from ...core.errors import OperationError, Reason

# Worth asking again: overload and what stands between us and a server that restarts.
# https://github.com/kubernetes/community/blob/master/contributors/devel/sig-architecture/api-conventions.md
TRANSIENT = frozenset({429, 500, 502, 503, 504})
_LONGEST_MESSAGE = 500


class NotFound(OperationError):
    """The object, or its namespace, is not there."""


class Conflict(OperationError):
    """Another writer was first, or an object of this name is there already."""


class Gone(OperationError):
    """A list's continuation expired; it is to be read again from its beginning."""


@dataclass(frozen=True)
class Refusal:
    """An answer that is no success; `body` is the server's Status object, or any text."""

    status: int
    method: str
    path: str
    body: bytes

    def document(self) -> dict[str, Any]:
        """The Status object, empty where the answer is none."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def message(self) -> str:
        """What the server said, in one line."""
        text = self.document().get("message") or self.body.decode("utf-8", "replace")
        return " ".join(str(text).split())[:_LONGEST_MESSAGE] or "no explanation"


def refusal_error(wanted: str, refusal: Refusal, server: str, token: str | None) -> OperationError:
    """The error for a refusal; `wanted` continues "Failed to ...".

    `token` is looked at for its expiry, and never repeated.
    """
    status, said = refusal.status, refusal.message().rstrip(".")
    seen = f"the API server {server} said {status}: {said}"
    if status == 401:
        return OperationError(
            Reason.AUTH,
            wanted,
            f"the API server {server} does not know this user" + _expiry_text(token),
            "Give a valid token, client certificate or kubeconfig",
        )
    if status == 403 and "exceeded quota" in said:
        return OperationError(
            Reason.BUDGET, wanted, said, "Raise the namespace's ResourceQuota, or ask for less"
        )
    if status == 403:
        return OperationError(
            Reason.AUTH,
            wanted,
            said,
            "Give this user the Role that the role deploy ships, in this namespace; "
            "where the namespace is misspelt, the same is said",
        )
    if status == 404:
        return NotFound(Reason.PRECONDITION, wanted, said, "Check kubernetes.namespace and names")
    if status == 409:
        return Conflict(Reason.PRECONDITION, wanted, said, "Run this again")
    if status == 410:
        return Gone(Reason.UNREACHABLE, wanted, said, "Run this again")
    if status in (400, 422):
        return OperationError(
            Reason.INVALID_INPUT,
            wanted,
            said,
            "Correct what the server names",
            state=_causes(refusal),
        )
    if status in TRANSIENT:
        return OperationError(
            Reason.UNREACHABLE, wanted, seen, "See whether the API server is overloaded or restarts"
        )
    return OperationError(Reason.PRECONDITION, wanted, seen, "See the API server's log")


def _causes(refusal: Refusal) -> dict[str, Any]:
    """Which fields the server refuses, by its own words."""
    details = refusal.document().get("details") or {}
    causes = [
        {"field": each.get("field"), "message": each.get("message")}
        for each in details.get("causes") or []
    ]
    return {"causes": causes}


def _expiry_text(token: str | None) -> str:
    """That a token is past its time, where it says so itself (RFC 7519, section 4.1.4)."""
    expires_at = token_expiry(token)
    if expires_at is None:
        return ""
    then = datetime.fromtimestamp(expires_at, timezone.utc)
    if then >= datetime.now(timezone.utc):
        return ""
    return f", since its token expired at {then:%Y-%m-%dT%H:%M:%SZ}"


def token_expiry(token: str | None) -> float | None:
    """When a JSON Web Token expires, in seconds since the epoch; None for other tokens."""
    parts = (token or "").split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return float(claims["exp"])
    except (binascii.Error, ValueError, KeyError, TypeError):
        return None
