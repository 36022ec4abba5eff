# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""redis_config: compare, foresee, change all servers or none, persist."""

from __future__ import annotations

from typing import Any

from ..core.context import Context
from ..core.deadline import Deadline
from ..core.errors import Cancelled, OperationError, invalid_option
from ..core.operation import Operation, Params
from ..core.result import Result
from . import config_report as report
from .config_change import NodeChange, apply_all, foretell_persistence, undo
from .connection import SERVER_RULES, server_arguments
from .consequences import LIMITS, READ_FOR_IT, foresee, require_consent
from .settings import compare, read_settings, unknown_setting
from .topology import Member, members
from .values import InvalidValue, size_bytes

_PURPOSE = "compare the settings"
# A server that is restarted meanwhile is waited for so long, to say what holds.
_UNDO_S = 10.0


def config_options() -> dict[str, dict[str, Any]]:
    """Mirrored by the documentation of module redis_config; a test compares the two."""
    return {
        **server_arguments(),
        "settings": {"type": "dict", "required": True},
        "persist": {"type": "bool", "default": True},
        "allow_eviction": {"type": "bool", "default": False},
        "allow_unlimited": {"type": "bool", "default": False},
        "memory_limit": {"type": "str"},
    }


def redis_config(params: Params, context: Context) -> Result:
    """Bring settings to what is wanted on every server that belongs together, or on none.

    Raises `invalid_input` for what no server takes, `precondition` for keys that would be evicted
    at once, `budget` for more memory than there is, `failed_state` for a restart meanwhile.
    """
    wanted = read_settings(params["settings"], params["allow_unlimited"])
    if not wanted:
        raise invalid_option(
            "settings", "nothing in it has a value", "Give names and values as in redis.conf"
        )
    memory_limit = _memory_limit(params["memory_limit"])
    deadline = Deadline(context.clock, params["timeout_s"])
    names = list(wanted)
    if any(name in wanted for name in LIMITS):
        names += [name for name in READ_FOR_IT if name not in wanted]
    with members(params, deadline, _PURPOSE, names) as servers:
        parts = [NodeChange.of(each, compare(wanted, _current(each, wanted))) for each in servers]
        foreseen = foresee(parts, memory_limit, _PURPOSE)
        for part in parts:
            foretell_persistence(part, params["persist"])
        seen = {
            "state": report.state(parts, wanted, foreseen),
            "tables": [vars(table) for table in report.tables(parts, foreseen)],
        }
        require_consent(foreseen, params["allow_eviction"], params["allow_unlimited"], seen)
        if not context.check_mode:
            _apply(parts, params["persist"], deadline, context)
        return report.result(parts, wanted, foreseen, context.check_mode)


def _memory_limit(text: str | None) -> int | None:
    try:
        return size_bytes(text) if text else None
    except InvalidValue as error:
        raise invalid_option("memory_limit", error.seen, error.next_step) from error


def _current(member: Member, wanted: dict[str, str]) -> dict[str, str]:
    """The server's values; `invalid_input`, with a suggestion, for a name that it does not know."""
    for name in wanted:
        if name not in member.look.settings:
            known = member.node.setting_names(_PURPOSE)
            raise unknown_setting(name, member.node.address, known)
    return {name: member.look.settings[name] for name in wanted}


def _apply(parts: list[NodeChange], persist: bool, deadline: Deadline, context: Context) -> None:
    """Change them all; after a failure the servers that were changed before it are set back."""
    try:
        apply_all(parts, persist, deadline, context.clock)
    except (OperationError, Cancelled) as error:
        left = _undo(parts, context)
        if isinstance(error, OperationError):
            error.details.setdefault("state", {"nodes": [_now(part) for part in parts]})
            if left:
                raise OperationError(
                    error.reason, error.wanted, f"{error.seen}; {left}", error.next_step,
                    **{**error.details, "changed": True},
                ) from error  # fmt: skip
        raise


def _undo(parts: list[NodeChange], context: Context) -> str:
    """Set back what was changed; what could not be, in words."""
    left = []
    for part in reversed([part for part in parts if part.is_applied]):
        try:
            undo(part, Deadline(context.clock, _UNDO_S), context.clock)
        except OperationError as error:
            left.append(f"{part.member.node.address} could not be set back: {error.seen}")
    return "; ".join(left)


def _now(part: NodeChange) -> dict[str, Any]:
    """What a server holds after a failure, as far as it was seen."""
    held = {each.name: each.after if part.is_applied else each.before for each in part.changes}
    return {"address": part.member.node.address, "settings": {**held, **part.now}}


REDIS_CONFIG = Operation("redis_config", config_options(), redis_config, SERVER_RULES)
