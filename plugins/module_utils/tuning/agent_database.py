# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which database the agent uses: as an option says, else as its own environment does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from ..core.errors import OperationError, Reason, invalid_option
from ..core.operation import Params
from ..postgres import Server, reach_arguments

_DEFAULT_NAME = "cost_agent"


@dataclass(frozen=True)
class AgentDatabase:
    """A server and how to look at it; `role` and `name` are what the agent connects with."""

    server: Server
    name: str
    role: str | None


def database_argument() -> dict[str, Any]:
    """The option `database`; documented in doc_fragments/tuning.py."""
    return {"type": "dict", "options": {**_server_options(), "name": {"type": "str"}}}


def pgbouncer_argument() -> dict[str, Any]:
    """The option `pgbouncer`; documented in doc_fragments/tuning.py."""
    return {"type": "dict", "options": {**_server_options(), "database": {"type": "str"}}}


def _server_options() -> dict[str, dict[str, Any]]:
    """As modules of PostgreSQL have them, but nothing is libpq's to find."""
    return {**reach_arguments(), "host": {"type": "str", "required": True}}


def agent_database(option: Params | None, environment: Mapping[str, str]) -> AgentDatabase:
    """Where to look; raises `precondition` where neither the option nor the environment says."""
    own = _in_environment(environment)
    if option is None:
        if own is None:
            raise OperationError(
                Reason.PRECONDITION,
                "find the agent's database",
                "its environment has neither DATABASE_URL nor PGHOST",
                "Give the option database",
            )
        return own
    name = option["name"] or (own.name if own else _DEFAULT_NAME)
    return AgentDatabase(Server.of(option), name, own.role if own else option["user"])


def _in_environment(environment: Mapping[str, str]) -> AgentDatabase | None:
    url = environment.get("DATABASE_URL")
    if url:
        return _in_url(url, environment)
    if not environment.get("PGHOST"):
        return None
    port = environment.get("PGPORT")
    return AgentDatabase(
        server=_server(
            {
                "host": environment["PGHOST"],
                "port": _port(port) if port else None,
                "user": environment.get("PGUSER"),
                "password": environment.get("PGPASSWORD"),
                "password_file": environment.get("DATABASE_PASSWORD_FILE"),
                "sslmode": environment.get("PGSSLMODE"),
                "ca_file": environment.get("PGSSLROOTCERT"),
            }
        ),
        name=environment.get("PGDATABASE") or _DEFAULT_NAME,
        role=environment.get("PGUSER"),
    )


def _in_url(url: str, environment: Mapping[str, str]) -> AgentDatabase:
    """A URL as SQLAlchemy and libpq have it; what it says is told in no error."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if not parts.scheme.startswith("postgres") or not parts.hostname:
        raise OperationError(
            Reason.PRECONDITION,
            "read DATABASE_URL in the agent's environment",
            "it is not the address of a PostgreSQL server",
            "Give the option database",
        )
    words = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    user = unquote(parts.username) if parts.username else None
    return AgentDatabase(
        server=_server(
            {
                "host": parts.hostname,
                "port": port,
                "user": user,
                "password": unquote(parts.password) if parts.password else None,
                "password_file": environment.get("DATABASE_PASSWORD_FILE"),
                "sslmode": words.get("sslmode"),
                "ca_file": words.get("sslrootcert"),
            }
        ),
        name=unquote(parts.path.lstrip("/")) or _DEFAULT_NAME,
        role=user,
    )


def _server(words: Params) -> Server:
    """Raises `precondition` for a password file that is the agent's to read, and not ours."""
    try:
        return Server.of(words)
    except OperationError as error:
        raise OperationError(
            Reason.PRECONDITION,
            "read the password of the agent's database",
            f"DATABASE_PASSWORD_FILE in its environment is {error.seen}",
            "Give the option database",
        ) from error


def _port(text: str) -> int:
    if not text.isdigit():
        raise invalid_option("environment", f"PGPORT is {text!r}", "Give a port's number")
    return int(text)
