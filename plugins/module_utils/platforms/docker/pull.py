# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pulling an image: the engine's stream of words, as progress and as an outcome."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ...core.context import Context
from ...core.deadline import Deadline
from ...core.errors import OperationError, Reason
from .connection import Gone, Refused
from .engine import Engine

_ABSENT = re.compile(r"not found|manifest unknown|name unknown|does not exist", re.I)
_DENIED = re.compile(r"denied|unauthorized|authentication required|no basic auth", re.I)
_AWAY = re.compile(
    r"dial tcp|no such host|connection refused|timeout|TLS handshake|EOF|x509|Client\.Timeout", re.I
)
_MIB = 1024 * 1024


class PullProgress:
    """Bytes of all layers, as far as the engine has told of them."""

    def __init__(self) -> None:
        self._layers: dict[str, tuple[int, int]] = {}

    def take(self, word: Mapping[str, Any]) -> None:
        layer, detail = word.get("id"), word.get("progressDetail") or {}
        if not layer or word.get("status") not in ("Downloading", "Download complete"):
            return
        total = detail.get("total") or self._layers.get(layer, (0, 0))[1]
        done = detail.get("current", total)
        self._layers[layer] = (done, total)

    @property
    def done(self) -> int:
        return sum(done for done, _total in self._layers.values())

    @property
    def total(self) -> int:
        return sum(total for _done, total in self._layers.values())


def pull(
    engine: Engine, repository: str, version: str, deadline: Deadline, context: Context
) -> None:
    """Pull an image by its tag or digest, and tell how far it is.

    Raises `timeout`, and what `registry_failure` says.
    """
    name = f"{repository}{'@' if version.startswith('sha256:') else ':'}{version}"
    progress = PullProgress()
    with registry_errors(f"pull {name}"):
        for word in _failing(engine.pull(repository, version)):
            progress.take(word)
            total = progress.total // _MIB
            context.progress.update(f"pulling {name}, MB", progress.done // _MIB, total or 1)
            if deadline.expired:
                raise OperationError(
                    Reason.TIMEOUT,
                    f"pull {name} within {deadline.seconds:g} s",
                    f"{progress.done // _MIB} of {total} MB had come",
                    "Run it again, which keeps whole layers, or give a longer timeout_s",
                )


def _failing(words: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The words; one that tells of an error is raised."""
    for word in words:
        if "error" in word:
            raise Refused(0, str(word["error"]))
        yield word


@contextlib.contextmanager
def registry_errors(wanted: str) -> Iterator[None]:
    """Turn what an engine says about a registry into a reason."""
    try:
        yield
    except (Gone, Refused) as refused:
        raise registry_failure(wanted, refused.said) from refused


def registry_failure(wanted: str, said: str) -> OperationError:
    """`auth`, `unreachable`, or `precondition` for an image that is not there.

    The engine passes a registry's words on as text only.
    """
    if _DENIED.search(said):
        return OperationError(
            Reason.AUTH,
            wanted,
            f"the registry refuses, or has no such image: {said}",
            "Check the name, and log in with docker login as the user who runs this",
        )
    if _ABSENT.search(said):
        return OperationError(
            Reason.PRECONDITION,
            wanted,
            f"there is no such image: {said}",
            "Push the image, or correct the release",
        )
    if _AWAY.search(said):
        return OperationError(
            Reason.UNREACHABLE,
            wanted,
            f"the engine cannot reach the registry: {said}",
            "See that the registry is up, and that the engine's machine may reach it",
        )
    return OperationError(
        Reason.FAILED_STATE, wanted, f"the engine says: {said}", "Try docker pull by hand"
    )
