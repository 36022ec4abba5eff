# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of images, and which of them can name a release.

The grammar is that of the distribution project's `reference` package, which Docker, containerd
and Kubernetes share.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...core.errors import OperationError, Reason

_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(?::[0-9]+)?"
_REFERENCE = re.compile(
    rf"(?P<repository>(?:{_HOST}/)?{_PART}(?:/{_PART})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_LONGEST_REPOSITORY = 255
_MUTABLE_TAG = "latest"


@dataclass(frozen=True)
class ImageReference:
    """`registry/repository:tag@digest`, as written; at least one of tag and digest, or neither."""

    repository: str
    tag: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, text: str) -> ImageReference:
        """Take a reference apart; raises `invalid_input` for text that is none."""
        match = _REFERENCE.fullmatch(text)
        if match is None or len(match["repository"]) > _LONGEST_REPOSITORY:
            raise OperationError(
                Reason.INVALID_INPUT,
                f"use {text!r} as the release",
                "it is not the reference of an image",
                "Write it as registry/cost-agent:1.4.2, in lower case",
            )
        return cls(match["repository"], match["tag"], match["digest"])

    def pinned(self, digest: str) -> str:
        """The reference that names these contents in this repository, whatever its tags do."""
        return f"{self.repository}@{digest}"

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.repository}{tag}{digest}"


def check_reference(text: str) -> ImageReference:
    """The reference that a release is called by; raises `invalid_input` for one that moves.

    No tag means `latest`, and what that names changes by design: a rollback to it would run
    whatever it names by then. A digest beside it pins it.
    """
    reference = ImageReference.parse(text)
    if reference.digest is None and reference.tag in (None, _MUTABLE_TAG):
        raise OperationError(
            Reason.INVALID_INPUT,
            f"use {text} as the release",
            "it has no tag, which means latest" if reference.tag is None else "latest moves",
            "Give a tag of this release's own, or pin it with @sha256:...",
        )
    return reference


def require_same_digest(release: str, recorded: str, found: str) -> None:
    """Raise `precondition` when a tag names other contents than it did when it was recorded."""
    if recorded == found:
        return
    raise OperationError(
        Reason.PRECONDITION,
        f"install release {release}",
        f"it was recorded as {recorded}, and its tag names {found} now",
        "Give the new image a tag of its own, or name it by its digest: "
        "what an id names never changes",
        state={"recorded_digest": recorded, "found_digest": found},
    )
