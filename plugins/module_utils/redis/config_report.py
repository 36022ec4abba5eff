# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What redis_config returns: state, tables, a diff and one line, from what was done."""

from __future__ import annotations

from typing import Any

from ..core.readable import count_text, size_text
from ..core.result import Result, Table
from .config_change import NodeChange
from .consequences import Foresight, eviction_text
from .known_settings import kind_of
from .settings import Change


def result(
    parts: list[NodeChange],
    wanted: dict[str, str],
    foreseen: dict[str, Foresight],
    check_mode: bool,
) -> Result:
    """The result of a change that was made, or would be in check mode."""
    changed = [part for part in parts if part.changes]
    return Result(
        changed=bool(changed),
        actions=[_action(part, check_mode) for part in changed],
        state=state(parts, wanted, foreseen),
        summary=_summary(parts, wanted, foreseen),
        tables=tables(parts, foreseen),
        diff={
            "before": {part.member.node.address: _values(part, "before") for part in changed},
            "after": {part.member.node.address: _values(part, "after") for part in changed},
        },
    )


def _values(part: NodeChange, which: str) -> dict[str, str]:
    return {each.name: getattr(each, which) for each in part.changes}


def state(
    parts: list[NodeChange], wanted: dict[str, str], foreseen: dict[str, Foresight]
) -> dict[str, Any]:  # fmt: skip
    """Each server's settings before and after, and what was foreseen."""
    nodes = [_node(part, wanted, foreseen.get(part.member.node.address)) for part in parts]
    names = sorted({each.name for part in parts for each in part.needs_restart})
    return {"nodes": nodes, "restart_required": names}


def _node(part: NodeChange, wanted: dict[str, str], foreseen: Foresight | None) -> dict[str, Any]:
    look = part.member.look
    after = {each.name: each.after for each in part.changes}
    settings = {}
    for name in wanted:
        now = look.settings[name]
        before = kind_of(name, now).canonical(now)
        settings[name] = {"before": before, "after": after.get(name, before)}
    return {
        "address": part.member.node.address,
        "role": look.role,
        "version": str(look.info.get("redis_version", "")),
        "settings": settings,
        "restart_required": [
            {"name": each.name, "now": each.before, "wanted": each.after}
            for each in part.needs_restart
        ],
        "persisted": part.persisted,
        "not_persisted_because": part.not_persisted_because,
        "foresight": foreseen.as_dict() if foreseen else None,
    }


def tables(parts: list[NodeChange], foreseen: dict[str, Foresight]) -> list[Table]:
    """What changes, and what that does; neither where nothing changes."""
    rows = [
        [part.member.node.address, each.name, *each.shown, _fate(part, each)]
        for part in parts
        for each in [*part.changes, *part.needs_restart]
    ]
    effects = [row for address, each in foreseen.items() for row in _effects(address, each)]
    found = [(["server", "setting", "before", "after", "then"], rows)] if rows else []
    if effects:
        found.append((["server", "foreseen", ""], effects))
    # Which server it is goes without saying where there is one.
    skip = 1 if len(parts) == 1 else 0
    return [Table(columns[skip:], [row[skip:] for row in rows]) for columns, rows in found]


def _fate(part: NodeChange, change: Change) -> str:
    if change in part.needs_restart:
        return "needs a restart"
    return "kept" if part.persisted else "lost at a restart"


def _effects(address: str, each: Foresight) -> list[list[str]]:
    rows = [[address, "at once", eviction_text(each)]]
    if each.endangered_keys:
        count = count_text(each.endangered_keys)
        rows.append([address, "from now on", f"{count} keys without expiry may be evicted"])
    if each.room.machine_bytes:
        needs = f"{size_text(each.room.needed_bytes)} of {size_text(each.room.machine_bytes)}"
        parts = f"{size_text(each.room.fork_bytes)} fork"
        parts += f", {size_text(each.room.replication_bytes)} replication"
        rows.append([address, "memory", f"{needs} ({parts})"])
    return rows


def _action(part: NodeChange, check_mode: bool) -> str:
    verb = "Would set" if check_mode else "Set"
    names = ", ".join(f"{each.name} to {each.shown[1]}" for each in part.changes)
    return f"{verb} {names} on {part.member.node.address}"


def _summary(
    parts: list[NodeChange], wanted: dict[str, str], foreseen: dict[str, Foresight]
) -> str:  # fmt: skip
    changed = [part for part in parts if part.changes]
    names = {each.name for part in changed for each in part.changes}
    where = parts[0].member.node.address if len(parts) == 1 else f"{len(parts)} servers"
    text = (
        f"{len(names)} of {len(wanted)} settings on {where}" if names else f"as wanted on {where}"
    )
    if len(changed) not in (0, len(parts)):
        text += f", {len(changed)} of which differ"
    restart = {each.name for part in parts for each in part.needs_restart}
    if restart:
        text += f"; {', '.join(sorted(restart))} needs a restart"
    unkept = [part for part in changed if part.not_persisted_because]
    if unkept:
        text += f"; not persisted: {unkept[0].not_persisted_because}"
    restarted = [part.member.node.address for part in parts if part.is_restarted]
    if restarted:
        text += f"; {restarted[0]} was restarted meanwhile, and has them"
    primary = _primary_elsewhere(parts)
    if primary:
        text += f"; a replica: its primary {primary} stays as it is"
    tight = [each for each in foreseen.values() if each.room.is_tight]
    if tight:
        text += f"; memory is tight: {size_text(tight[0].room.needed_bytes)} may be needed"
    return text


def _primary_elsewhere(parts: list[NodeChange]) -> str | None:
    """The primary of a set that has only replicas in it."""
    if any(part.member.is_primary for part in parts):
        return None
    info = parts[-1].member.look.info
    return f"{info.get('master_host')}:{info.get('master_port')}"
