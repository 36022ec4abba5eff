# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What restore and drill are asked for alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...core.errors import invalid_option
from ...core.operation import Params
from ...repository import repository_arguments
from ..server.connection import Server, server_arguments
from ..sets.catalog import LATEST
from ..sets.identity_options import given_identities, identity_arguments

_JOBS = range(1, 33)


def restore_arguments() -> dict[str, dict[str, Any]]:
    """The options of doc_fragments/restore.py."""
    return {
        "database": {"type": "str", "default": "cost_agent"},
        "backup": {"type": "str", "default": LATEST},
        **server_arguments(),
        **repository_arguments(),
        "jobs": {"type": "int", "default": 2},
        "owners": {"type": "bool", "default": True},
        "create_roles": {"type": "bool", "default": False},
        "check_disk": {"type": "bool", "default": True},
        **identity_arguments(),
        "scratch": {"type": "path"},
        "timeout_s": {"type": "float", "default": 86400.0},
        "state_store": {"type": "str"},
        "textfile": {"type": "path"},
    }


@dataclass(frozen=True)
class RestoreOptions:
    """The judged options; `identities` is None where no private key was given."""

    database: str
    backup: str
    server: Server
    bin_dir: str | None
    jobs: int
    owners: bool
    create_roles: bool
    check_disk: bool
    identities: Sequence[Any] | None
    scratch: str | None
    timeout_s: float

    @classmethod
    def of(cls, params: Params) -> RestoreOptions:
        """Raises `invalid_input`, naming the option."""
        if params["jobs"] not in _JOBS:
            raise invalid_option(
                "jobs",
                f"{params['jobs']} is given",
                f"Give a number from {_JOBS[0]} to {_JOBS[-1]}",
            )
        if not 0 < params["timeout_s"] < float("inf"):
            raise invalid_option(
                "timeout_s", f"{params['timeout_s']:g} is given", "Give a number above 0"
            )
        same = ("database", "backup", "bin_dir", "jobs", "owners", "create_roles", "check_disk")
        return cls(
            server=Server.of(params),
            identities=given_identities(params),
            scratch=params["scratch"],
            timeout_s=params["timeout_s"],
            **{name: params[name] for name in same},
        )
