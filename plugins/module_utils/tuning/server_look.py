# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the database's server and its PgBouncer tell, seen from here or told by a run elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from ..core.context import Context
from ..core.errors import OperationError, invalid_option
from ..core.operation import Params
from ..platforms import Agent, read_intent
from .activity import Activity
from .agent_database import agent_database
from .budget import Bouncer, Limits, Others
from .peaks import Peaks
from .pgbouncer import read_bouncer
from .sessions import Identity, SessionGroup, as_state, highest, others_in, total

_SEES_LITTLE = (
    "States and ages of others' sessions are not shown to this user: grant it pg_read_all_stats "
    "(pg_monitor) to see them; counts are right without it"
)


@dataclass(frozen=True)
class ServerSeen:
    """What was told; `groups` are the sessions of the last look, `others` the most of all looks."""

    address: str
    version: int
    identity: Identity
    limits: Limits
    groups: tuple[SessionGroup, ...]
    others: Others
    bouncer: Bouncer | None
    notes: tuple[str, ...] = ()

    def as_state(self) -> dict[str, Any]:
        """Plain values, which `told_server` reads again."""
        agents = [group for group in self.groups if self.identity.is_agent(group)]
        return {
            "server": {
                "address": self.address,
                "version": self.version,
                **asdict(self.limits),
                "available": self.limits.available,
            },
            "application_name": self.identity.application,
            "pgbouncer": asdict(self.bouncer) if self.bouncer else None,
            "others": asdict(self.others),
            "agent_sessions": total(agents),
            "sessions": as_state(self.groups, self.identity),
        }


def look_at_server(
    agent: Agent, environment: Mapping[str, str], params: Params, context: Context
) -> ServerSeen:
    """The server's limits, its sessions in several looks, and PgBouncer's pool.

    Or, with the option `measured`, what a run elsewhere saw of them.
    """
    if params["measured"] is not None:
        return told_server(params["measured"])
    database = agent_database(params["database"], environment)
    with Activity(database.server, database.name) as activity:
        role = database.role or activity.user()
        application, is_pooled = params["application_name"] or agent.name, bool(params["pgbouncer"])
        identity = Identity(application, role, database.name, is_pooled)
        limits = activity.limits(identity.role, identity.database)
        looks = [tuple(activity.look())]
        for _number in range(params["looks"] - 1):
            context.clock.sleep(params["interval_s"])
            looks.append(tuple(activity.look()))
        address, version, sees_all = activity.address, activity.version, activity.sees_all
    count = len(looks)
    others = highest(
        [others_in(look, identity) for look in looks],
        "now" if count == 1 else f"the most of {count} looks",
    )
    return ServerSeen(
        address=address,
        version=version,
        identity=identity,
        limits=limits,
        groups=looks[-1],
        others=others,
        bouncer=read_bouncer(params["pgbouncer"], identity) if params["pgbouncer"] else None,
        notes=() if sees_all else (_SEES_LITTLE,),
    )


def told_server(state: Mapping[str, Any]) -> ServerSeen:
    """What `as_state` gave; raises `invalid_input` for anything else."""
    try:
        server, bouncer = state["server"], state["pgbouncer"]
        return ServerSeen(
            address=server["address"],
            version=server["version"],
            identity=Identity(
                state["application_name"], server["role"], server["database"], bool(bouncer)
            ),
            limits=_made(Limits, server),
            groups=tuple(_made(SessionGroup, each) for each in state["sessions"]),
            others=_made(Others, state["others"]),
            bouncer=_made(Bouncer, bouncer) if bouncer else None,
            notes=tuple(state.get("notes") or ()),
        )
    except (AttributeError, KeyError, TypeError) as error:
        raise invalid_option(
            "measured",
            f"it is no state of connection_pool_info: {type(error).__name__} at {error}",
            "Give the state of a run with server_only",
        ) from error


def with_peak(seen: ServerSeen, agent: Agent, params: Params, context: Context) -> ServerSeen:
    """With everybody else at peak: as the operator knows, else the most of the last days too.

    Remembers what was seen now, with the state of an agent that was started once.
    """
    told = params["others_at_peak"]
    try:
        others = _peak(seen.others, agent, context)
    except OperationError as error:
        note = f"Peaks of other days are not known: {error}"
        seen, others = replace(seen, notes=(*seen.notes, note)), seen.others
    if told is not None:
        others = replace(seen.others, server=told, seen="as told")
    return replace(seen, others=others)


def _peak(seen: Others, agent: Agent, context: Context) -> Others:
    keep = not context.check_mode and read_intent(agent.store, agent.name) is not None
    return Peaks(agent.store, agent.name).with_past(seen, context.clock.now(), keep)


def _made(kind: Any, values: Mapping[str, Any]) -> Any:
    """A dataclass of the values that it has; raises `KeyError` for one that is missing."""
    names: Sequence[str] = [field.name for field in fields(kind)]
    return kind(**{name: values[name] for name in names})
