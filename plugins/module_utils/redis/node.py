# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One server, the one connection to it, and what a look at it shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..core.deadline import Deadline
from ..core.errors import OperationError, Reason
from .connection import CacheServer, open_client, server_failure

# However long the whole may take, one answer is waited for no longer than this, nor for more than
# half of the whole: there is time left to find out what became of a change.
_LONGEST_ANSWER_S = 5.0
_BATCHES_SINCE = (7, 0)  # CONFIG SET takes several settings, redis.io/commands/config-set

Command = tuple[Any, ...]


@dataclass(frozen=True)
class Look:
    """What INFO and CONFIG GET said at one moment."""

    info: dict[str, Any]
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def run_id(self) -> str:
        """Another one after each start of the server."""
        return str(self.info.get("run_id", ""))

    @property
    def role(self) -> str:
        """`primary` or `replica`."""
        return "replica" if self.info.get("role") == "slave" else "primary"

    @property
    def config_file(self) -> str:
        return str(self.info.get("config_file") or "")

    @property
    def takes_batches(self) -> bool:
        """Whether CONFIG SET takes several settings, all or none of them."""
        parts = str(self.info.get("redis_version", "0")).split(".")[:2]
        version = tuple(int(part) for part in parts if part.isdigit())
        return version >= _BATCHES_SINCE


class Node:
    """A server to talk to; every request is one round trip, and none begins after the deadline."""

    def __init__(self, server: CacheServer, deadline: Deadline) -> None:
        """Raises `missing_library`."""
        self.server = server
        self.deadline = deadline
        self._client = open_client(server, min(deadline.seconds / 2, _LONGEST_ANSWER_S))

    @property
    def address(self) -> str:
        return self.server.address

    def close(self) -> None:
        self._client.close()

    def answers(self, purpose: str, commands: Sequence[Command]) -> list[Any]:
        """The answers to commands sent together; an error is an answer.

        Raises `unreachable`, `auth`, `timeout` where there is none.
        """
        import redis.exceptions

        if self.deadline.expired:
            raise OperationError(
                Reason.TIMEOUT,
                f"{purpose} within {self.deadline.seconds:g} s",
                f"the time was over before {self.address} was asked",
                "Raise timeout_s, or see which server is slow",
            )
        pipeline: Any = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        try:
            answers: list[Any] = pipeline.execute(raise_on_error=False)
        except (redis.exceptions.RedisError, OSError) as error:
            raise server_failure(purpose, self.server, error, str(commands[0][0])) from error
        return answers

    def ask(self, purpose: str, *commands: Command) -> list[Any]:
        """As `answers`, and raises for the first error in them too."""
        answers = self.answers(purpose, commands)
        for command, answer in zip(commands, answers):
            self.check(purpose, command, answer)
        return answers

    def check(self, purpose: str, command: Command, answer: Any) -> None:
        """Raise for an answer that is an error."""
        if isinstance(answer, Exception):
            raise server_failure(purpose, self.server, answer, str(command[0])) from answer

    def look(self, purpose: str, names: Sequence[str]) -> Look:
        """INFO and these settings in one round trip; settings it does not have are left out."""
        commands: list[Command] = [("INFO",), *(("CONFIG GET", name) for name in names)]
        info, *settings = self.ask(purpose, *commands)
        found: dict[str, str] = {}
        for name, answer in zip(names, settings):
            if name in answer:
                found[name] = answer[name]
        return Look(info, found)

    def setting_names(self, purpose: str) -> list[str]:
        """The names of all settings that it has."""
        [answer] = self.ask(purpose, ("CONFIG GET", "*"))
        return sorted(answer)
