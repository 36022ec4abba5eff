# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The containers of an agent: which are its own, and how each is found, made and removed."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from ...core.state_store import ABSENT, StateStore, VersionConflict
from ..agent_options import Agent
from .container import Container
from .engine import Engine
from .labels import AGENT, Ownership


class Replicas:
    """The containers `<name>-1`, `<name>-2`, ... of one agent on one engine."""

    def __init__(self, agent: Agent, engine: Engine, container_port: int) -> None:
        self._agent = agent
        self._engine = engine
        self._container_port = container_port

    def names(self, count: int) -> list[str]:
        return [f"{self._agent.name}-{number}" for number in range(1, count + 1)]

    def number(self, name: str) -> int:
        """The place of a replica in the order of its ports, from 1."""
        return int(name.rpartition("-")[2])

    def owner(self, claims: bool = False) -> Ownership:
        """Who owns the containers; `claims` makes the claim where there is none yet.

        The claim is an id that lives in the state store alone. Two agents of one name that have
        different stores so tell their containers apart, whatever their stores are called.
        """
        return Ownership(self._agent.name, claim_of(self._agent.store, self._agent.name, claims))

    def of(self, names: Sequence[str]) -> dict[str, Container]:
        """The containers of those names, ours or not, and all others of ours, by name."""
        names = sorted({*names, *self._owned_names()}, key=self.number)
        if not names:
            return {}
        most = self._engine.connection.most_at_once
        with ThreadPoolExecutor(min(len(names), most)) as threads:
            found = threads.map(self.one, names)
            return {name: each for name, each in zip(names, found) if each is not None}

    def one(self, name: str) -> Container | None:
        return self._engine.container(name, self._container_port)

    def ours(self) -> dict[str, Container]:
        """The containers of this agent, running or not, in order."""
        owner = self.owner()
        return {n: each for n, each in self.of([]).items() if owner.owns(each.labels)}

    def _owned_names(self) -> list[str]:
        pattern = re.compile(rf"/({re.escape(self._agent.name)}-\d+)")
        listed = self._engine.containers([f"{AGENT}={self._agent.name}"])
        matches = (pattern.fullmatch(name) for each in listed for name in each["Names"])
        return [match.group(1) for match in matches if match]


def claim_of(store: StateStore, name: str, makes: bool) -> str:
    """The id of an agent in a state store; empty where there is none and none is made."""
    key = f"claim/{name}"
    entry = store.read(key)
    if entry is None and makes:
        claim = uuid.uuid4().hex
        try:
            store.write(key, claim.encode(), expect=ABSENT)
            return claim
        except VersionConflict:  # another run was first
            entry = store.read(key)
    return entry.data.decode("ascii", "replace") if entry else ""
