# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an agent in a container or a machine needs to know of the stack."""

from __future__ import annotations

from pathlib import Path

from demo.stack import Addresses


def agent_environment(stack: Addresses) -> dict[str, str]:
    """Variables without a secret in them; the agent reads `agent_secrets` as well."""
    database, cache = stack["postgres"], stack["redis"]
    return {
        "PGHOST": str(database["host"]),
        "PGPORT": str(database["port"]),
        "PGUSER": str(database["user"]),
        "PGDATABASE": str(database["database"]),
        # Ten replicas with the guide's 20 + 10 are more than the stack's server has.
        "DB_POOL_SIZE": "4",
        "DB_MAX_OVERFLOW": "2",
        "REDIS_URL": f"redis://{cache['host']}:{cache['port']}/0",
    }


def agent_secrets(stack: Addresses) -> dict[str, str]:
    """Variables that hold passwords; REDIS_URL replaces the one without."""
    database, cache = stack["postgres"], stack["redis"]
    redis_password = _read(cache["password_file"])
    return {
        "PGPASSWORD": _read(database["password_file"]),
        "REDIS_URL": f"redis://:{redis_password}@{cache['host']}:{cache['port']}/0",
    }


def agent_options(stack: Addresses, **more: str) -> dict[str, dict[str, str]]:
    """Both as options of the module agent; `more` are further variables without a secret."""
    secrets = agent_secrets(stack)
    plain = {k: v for k, v in agent_environment(stack).items() if k not in secrets}
    return {"environment": {**plain, **more}, "environment_secrets": secrets}


def _read(path: object) -> str:
    return Path(str(path)).read_text().strip()
