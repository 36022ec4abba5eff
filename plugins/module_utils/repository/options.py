# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that name a repository; documented in doc_fragments/repository.py."""

from __future__ import annotations

from typing import Any


def repository_arguments() -> dict[str, dict[str, Any]]:
    """Where the backups are: every module that reads or writes them has these."""
    return {
        "repository": {"type": "str", "required": True},
        "s3": {
            "type": "dict",
            "required_together": [["access_key", "secret_key"]],
            "required_by": {"session_token": ["access_key"]},
            "options": {
                "endpoint_url": {"type": "str"},
                "region": {"type": "str"},
                "profile": {"type": "str"},
                "access_key": {"type": "str", "no_log": False},
                "secret_key": {"type": "str", "no_log": True},
                "session_token": {"type": "str", "no_log": True},
                "path_style": {"type": "bool"},
                "ca_file": {"type": "path"},
                "validate_certs": {"type": "bool", "default": True},
                "sse": {"type": "str", "choices": ["AES256", "aws:kms"]},
                "kms_key_id": {"type": "str"},
                "storage_class": {"type": "str"},
                "connect_timeout_s": {"type": "float", "default": 30.0},
                "read_timeout_s": {"type": "float", "default": 30.0},
                "max_attempts": {"type": "int", "default": 5},
            },
        },
    }
