# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that modules of this area share; documented in doc_fragments/platform.py."""

from __future__ import annotations

from typing import Any

from .docker.arguments import docker_arguments
from .kubernetes.options import kubernetes_argument

PLATFORMS = ["process", "systemd", "docker", "kubernetes"]
DEFAULT_APP = "src.main:app"


def platform_arguments() -> dict[str, dict[str, Any]]:
    """Which agent, on which platform: every module of this area has these."""
    return {
        "platform": {"type": "str", "choices": PLATFORMS, "default": "process"},
        "name": {"type": "str", "default": "cost-agent"},
        "home": {"type": "path", "default": "/opt/cost-agent"},
        "state_store": {"type": "str"},
        "docker": docker_arguments(),
        "kubernetes": kubernetes_argument(),
    }


def serving_arguments() -> dict[str, dict[str, Any]]:
    """How many replicas listen where; the guide's address, application and count."""
    return {
        "replicas": {"type": "int"},
        "host": {"type": "str", "default": "0.0.0.0"},
        "port": {"type": "int", "default": 8001},
        "app": {"type": "str", "default": DEFAULT_APP},
    }
