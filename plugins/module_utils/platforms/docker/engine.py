# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engine is asked: containers and images, as this collection needs them.

The first answer decides whether the engine is there. From then on a connection that breaks is
taken up again for a while, since an engine that is updated or restarted comes back.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Callable, TypeVar

from ...core.clock import Clock
from ...core.deadline import Deadline, backoff, poll
from ...core.errors import OperationError, Reason
from .connection import Gone, Refused, connect, speaking
from .container import Container, parse_container
from .image import Image, parse_image
from .options import Connection

T = TypeVar("T")

# systemd starts docker again within seconds; an update of its package takes about ten.
RECONNECT_S = 30.0
_NOT_MODIFIED = 304
_CONFLICT = 409
_LONGEST_LINE = 16 * 1024


class Engine:
    """One engine. Methods raise `OperationError`, and `Gone` or `Refused` where they say so."""

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self.connection = connection
        self.clock = clock
        self._client: Any = None

    # --- containers ---------------------------------------------------------------------------

    def containers(self, labels: Sequence[str] = ()) -> list[dict[str, Any]]:
        """All containers that have these labels, running or not, as the engine lists them."""

        def listed(client: Any) -> list[dict[str, Any]]:
            return list(client.containers(all=True, filters={"label": list(labels)}))

        return self.ask("list the containers", listed)

    def container(self, name: str, container_port: int | None = None) -> Container | None:
        """A container by name or id, or None."""
        try:
            seen = self.ask(f"look at {name}", lambda client: client.inspect_container(name))
        except Gone:
            return None
        return parse_container(seen, container_port)

    def create(self, name: str, body: Mapping[str, Any]) -> str:
        """Create a container and return its id; raises `Gone`, `Refused`."""
        created = self.ask(
            f"create {name}",
            lambda client: client.create_container_from_config(dict(body), name),
        )
        return str(created["Id"])

    def start(self, name: str) -> None:
        """Start a container that was created; raises `Gone`, `Refused`."""
        self.ask(f"start {name}", lambda client: client.start(name))

    def stop(self, name: str, grace_s: int, within_s: float) -> bool:
        """SIGTERM, and SIGKILL after the grace; False when `within_s` passed first.

        The engine keeps to the grace also when this client goes away meanwhile.
        """
        from requests import exceptions

        def stop(client: Any) -> bool:
            url = client._url("/containers/{0}/stop", name)
            try:
                answer = client.post(url, params={"t": grace_s}, timeout=max(within_s, 0.1))
            except exceptions.ReadTimeout:
                return False
            if answer.status_code != _NOT_MODIFIED:
                client._raise_for_status(answer)
            return True

        try:
            return self.ask(f"stop {name}", stop)
        except Gone:
            return True

    def unpause(self, name: str) -> None:
        """Let a paused container go on; raises `Gone`, `Refused`."""
        self.ask(f"unpause {name}", lambda client: client.unpause(name))

    def remove(self, name: str) -> None:
        """Remove a container, ending it where it runs; one that is gone is fine."""
        try:
            self.ask(f"remove {name}", lambda client: client.remove_container(name, force=True))
        except Gone:
            return
        except Refused as refused:
            if refused.status != _CONFLICT:  # it is being removed already
                raise

    def stats(self, name: str) -> dict[str, Any] | None:
        """One reading of its usage, or None when it is gone."""
        try:
            return dict(
                self.ask(
                    f"measure {name}",
                    lambda client: client.stats(name, stream=False, one_shot=True),
                )
            )
        except Gone:
            return None

    def log(self, name: str, lines: int, since: float | None = None) -> list[str]:
        """The last lines that it printed, each cut to a length; memory is bounded."""

        def read(client: Any) -> list[str]:
            pieces = client.logs(name, stream=True, follow=False, tail=lines, since=since)
            return list(deque(_lines(pieces), lines))

        try:
            return self.ask(f"read the log of {name}", read)
        except Gone:
            return []
        except Refused as refused:
            raise OperationError(
                Reason.PRECONDITION,
                f"read the log of {name}",
                refused.said,
                "Read it where its log driver sends it, or choose one that can be read, "
                "such as json-file",
            ) from refused

    def last_end(self, container: Container) -> str:
        """How a container ended last that runs again: its exit code, out of the engine's events.

        The engine keeps its last 256 events; empty where they are over it.
        """

        def ends(client: Any) -> list[dict[str, Any]]:
            return list(
                client.events(
                    since=int(container.created_at or 0),
                    until=int(self.clock.now()) + 1,
                    filters={"container": container.id, "event": ["die", "oom"]},
                    decode=True,
                )
            )

        found = self.ask(f"look at the events of {container.name}", ends)
        codes = [each["Actor"]["Attributes"].get("exitCode") for each in found]
        last = next((code for code in reversed(codes) if code is not None), None)
        if last is None:
            return ""
        is_short_of_memory = any(each.get("Action") == "oom" for each in found)
        return f"exit code {last}" + (", killed for lack of memory" * is_short_of_memory)

    # --- images -------------------------------------------------------------------------------

    def image(self, reference: str) -> Image | None:
        """An image that the engine has, by reference or id, or None."""
        try:
            seen = self.ask(f"look at {reference}", lambda client: client.inspect_image(reference))
        except Gone:
            return None
        return parse_image(seen)

    def registry_digest(self, reference: str) -> str:
        """The digest that a registry has for a reference; raises `Gone`, `Refused`."""
        found = self.ask(
            f"look for {reference}", lambda client: client.inspect_distribution(reference)
        )
        return str(found["Descriptor"]["digest"])

    def pull(self, repository: str, tag: str) -> Iterator[dict[str, Any]]:
        """Pull an image by tag or digest; the engine's words while it does. Not taken up again."""
        client = self._connected()
        with speaking(self.connection, f"pull {repository}"):
            yield from client.pull(repository, tag=tag, stream=True, decode=True)

    # --- the engine ---------------------------------------------------------------------------

    def info(self) -> dict[str, Any]:
        """What the engine tells of itself."""
        return dict(self.ask("ask the engine", lambda client: client.info()))

    def has_network(self, name: str) -> bool:
        """Whether there is a network that containers could join."""
        try:
            self.ask(f"look at network {name}", lambda client: client.inspect_network(name))
        except Gone:
            return False
        return True

    def ask(self, wanted: str, question: Callable[[Any], T]) -> T:
        """Ask, again where the connection broke and the engine had answered before."""
        had_answered = self._client is not None

        def attempt() -> T:
            client = self._connected()
            with speaking(self.connection, wanted):
                return question(client)

        try:
            return attempt()
        except OperationError as error:
            if error.reason is not Reason.UNREACHABLE or not had_answered:
                raise
            lost = error

        answers: list[T] = []

        def again() -> bool | None:
            nonlocal lost
            try:
                answers.append(attempt())
            except OperationError as error:
                if error.reason is not Reason.UNREACHABLE:
                    raise
                lost = error
                return None
            return True

        if not poll(again, Deadline(self.clock, RECONNECT_S), self.clock, backoff(0.2)):
            raise lost
        return answers[0]

    def _connected(self) -> Any:
        if self._client is None:
            self._client = connect(self.connection)
            weakref.finalize(self, self._client.close)
        return self._client


def _lines(pieces: Iterator[bytes]) -> Iterator[str]:
    """Lines out of a stream of pieces, without their ends; a longer one is cut."""
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            yield _text(line)
        rest = rest[:_LONGEST_LINE]
    if rest:
        yield _text(rest)


def _text(line: bytes) -> str:
    return line[:_LONGEST_LINE].decode("utf-8", "replace").rstrip("\r")
