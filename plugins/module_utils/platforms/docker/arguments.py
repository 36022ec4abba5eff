# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option `docker`; documented in doc_fragments/platform.py."""

from __future__ import annotations

from typing import Any


def docker_arguments() -> dict[str, Any]:
    """The engine and how its containers are made; connection options as community.docker's."""
    return {
        "type": "dict",
        "options": {
            "docker_host": {"type": "str"},
            "tls": {"type": "bool"},
            "validate_certs": {"type": "bool"},
            "ca_path": {"type": "path"},
            "client_cert": {"type": "path"},
            "client_key": {"type": "path"},
            "tls_hostname": {"type": "str"},
            "api_version": {"type": "str", "default": "auto"},
            "timeout": {"type": "int", "default": 60},
            "use_ssh_client": {"type": "bool", "default": True},
            "pull": {
                "type": "str",
                "choices": ["missing", "always", "never"],
                "default": "missing",
            },
            "container_port": {"type": "int", "default": 8001},
            "network": {"type": "str", "default": "bridge"},
            "restart_policy": {
                "type": "str",
                "choices": ["unless-stopped", "on-failure", "always", "no"],
                "default": "unless-stopped",
            },
            "read_only": {"type": "bool", "default": False},
            "user": {"type": "str"},
            "command": {"type": "list", "elements": "str"},
            "volumes": {"type": "list", "elements": "str"},
            "labels": {"type": "dict"},
            "log_driver": {"type": "str"},
            "log_options": {"type": "dict"},
            "compose": {
                "type": "dict",
                "options": {
                    "project": {"type": "str", "required": True},
                    "service": {"type": "str", "default": "cost-agent"},
                    "files": {"type": "list", "elements": "path"},
                },
            },
        },
    }
