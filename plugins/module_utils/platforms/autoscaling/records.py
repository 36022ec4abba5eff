# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A policy and what its evaluations remember, in the state store under `autoscaler/<name>`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ...core.errors import OperationError, Reason
from ...core.state_store import StateStore
from .decision import Memory
from .policy import Policy


def read_policy_record(store: StateStore, name: str) -> Policy | None:
    """The stored policy; None without one, or where what is there is none."""
    plain = _read(store, _policy_key(name))
    try:
        return None if plain is None else Policy.from_dict(plain)
    except (KeyError, TypeError):
        return None


def write_policy_record(store: StateStore, name: str, policy: Policy) -> None:
    """Store the policy."""
    _write(store, _policy_key(name), policy.as_dict())


def remove_records(store: StateStore, name: str) -> None:
    """Forget the policy, and what its evaluations remembered."""
    store.delete(_policy_key(name))
    store.delete(_memory_key(name))


def read_memory(store: StateStore, name: str) -> Memory:
    """What the last evaluation left; nothing where that cannot be read."""
    plain = _read(store, _memory_key(name)) or {}
    try:
        return Memory(
            plain["count"], _entries(plain["recommendations"]), _entries(plain["changes"])
        )
    except (KeyError, TypeError, ValueError):
        return Memory()


def write_memory(store: StateStore, name: str, memory: Memory) -> None:
    """Leave this to the next evaluation."""
    _write(store, _memory_key(name), vars(memory))


def require_within_policy(store: StateStore, name: str, replicas: int) -> None:
    """Raise `precondition` for a count that the next evaluation would undo."""
    policy = read_policy_record(store, name)
    if policy is None or policy.min <= replicas <= policy.max:
        return
    bound = f"max, {policy.max}" if replicas > policy.max else f"min, {policy.min}"
    raise OperationError(
        Reason.PRECONDITION,
        f"scale {name} to {replicas} replicas",
        f"its autoscaler has {bound}, and would go back there",
        "Change that bound with agent_autoscaler (autoscale.yml), or remove the autoscaler first",
    )


def _policy_key(name: str) -> str:
    return f"autoscaler/{name}/policy.json"


def _memory_key(name: str) -> str:
    return f"autoscaler/{name}/memory.json"


def _entries(plain: Any) -> tuple[tuple[float, int], ...]:
    return tuple((float(at), int(number)) for at, number in plain)


def _read(store: StateStore, key: str) -> dict[str, Any] | None:
    entry = store.read(key)
    try:
        plain = json.loads(entry.data) if entry else None
    except ValueError:
        return None
    return plain if isinstance(plain, dict) else None


def _write(store: StateStore, key: str, plain: Mapping[str, Any]) -> None:
    store.write(key, json.dumps(plain, separators=(",", ":")).encode())
