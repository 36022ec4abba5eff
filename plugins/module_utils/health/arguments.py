# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of health_info, as an argument spec, and those of whatever asks replicas."""

from __future__ import annotations

from typing import Any

from ..platforms import kubernetes_argument

_Spec = dict[str, dict[str, Any]]

SSL_MODES = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]


def health_options() -> _Spec:
    """Mirrored by the documentation of module health_info; a test compares the two."""
    return {
        **replica_options(),
        "basic_path": {"type": "str", "default": "/api/v1/health"},
        "detailed_path": {"type": "str", "default": "/api/v1/health/detailed"},
        "database": {"type": "dict", "options": _database()},
        "cache": {"type": "dict", "options": _cache()},
        "dependencies": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": _dependency(),
            "mutually_exclusive": [["url", "host"], ["url", "port"]],
            "required_one_of": [["url", "host"]],
            "required_together": [["host", "port"]],
        },
        "samples": {"type": "int", "default": 5},
        "interval_s": {"type": "float", "default": 0.0},
        "timeout_s": {"type": "float", "default": 5.0},
        "thresholds": {"type": "dict", "apply_defaults": True, "options": _thresholds()},
        "require": {"type": "str", "choices": ["healthy", "degraded"]},
        "wait_s": {"type": "float", "default": 0.0},
        "soak_s": {"type": "float", "default": 0.0},
        "state_store": {"type": "str"},
        "history_keep_days": {"type": "int", "default": 30},
        "textfile": {"type": "path"},
    }


def replica_options() -> _Spec:
    """Which replicas are asked, and how; mirrored by doc_fragments/replicas.py and kubernetes.py."""
    return {
        "agent": {"type": "str", "default": "cost-agent"},
        "targets": {"type": "list", "elements": "dict", "default": [], "options": _target()},
        "headers": {"type": "dict", "no_log": True},
        "validate_certs": {"type": "bool", "default": True},
        "ca_file": {"type": "path"},
        "client_cert": {"type": "path"},
        "client_key": {"type": "path"},
        "kubernetes": kubernetes_argument(),
    }


def _target() -> _Spec:
    usage: _Spec = {
        "memory_bytes": {"type": "float"},
        "memory_limit_bytes": {"type": "float"},
        "cpu_seconds": {"type": "float"},
        "uptime_s": {"type": "float"},
        "cpu_percent": {"type": "float"},
        "cpu_window_s": {"type": "float"},
        "cpu_limit_cores": {"type": "float"},
    }
    return {
        "name": {"type": "str"},
        "url": {"type": "str", "required": True},
        "not_running": {"type": "str"},
        "usage": {"type": "dict", "options": usage},
    }


def _database() -> _Spec:
    return {
        "host": {"type": "str", "required": True},
        "port": {"type": "int", "default": 5432},
        "name": {"type": "str", "default": "cost_agent"},
        "user": {"type": "str"},
        "password": {"type": "str", "no_log": True},
        "sslmode": {"type": "str", "default": "prefer", "choices": SSL_MODES},
        "ca_file": {"type": "path"},
    }


def _cache() -> _Spec:
    return {
        "host": {"type": "str", "required": True},
        "port": {"type": "int", "default": 6379},
        "username": {"type": "str"},
        "password": {"type": "str", "no_log": True},
        "tls": {"type": "bool", "default": False},
        "ca_file": {"type": "path"},
    }


def _dependency() -> _Spec:
    return {
        "name": {"type": "str", "required": True},
        "url": {"type": "str"},
        "host": {"type": "str"},
        "port": {"type": "int"},
        "critical": {"type": "bool", "default": False},
    }


def _thresholds() -> _Spec:
    return {
        "api_ms": {"type": "float", "default": 100.0},
        "database_ms": {"type": "float", "default": 50.0},
        "cache_ms": {"type": "float", "default": 10.0},
        "memory_percent": {"type": "float", "default": 80.0},
        "cpu_percent": {"type": "float", "default": 70.0},
    }
