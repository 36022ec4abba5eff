# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The labels, annotations and names of what this platform writes."""

from __future__ import annotations

import hashlib
import re

MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGED_BY = "optiinfra.cost_agent"

_PREFIX = "cost-agent.optiinfra"
AGENT_LABEL = f"{_PREFIX}/agent"
KIND_LABEL = f"{_PREFIX}/kind"
KEY_ANNOTATION = f"{_PREFIX}/key"
BRAKE_ANNOTATION = f"{_PREFIX}/canary"
# Also in the role deploy's manifest.
HELD_ANNOTATION = f"{_PREFIX}/held"
FLOOR_ANNOTATION = f"{_PREFIX}/min-replicas"
# What `kubectl rollout restart` writes: one restart, whoever asks for it.
RESTART_ANNOTATION = "kubectl.kubernetes.io/restartedAt"
REVISION_ANNOTATION = "deployment.kubernetes.io/revision"
REVISION_HISTORY_ANNOTATION = "deployment.kubernetes.io/revision-history"
TEMPLATE_HASH_LABEL = "pod-template-hash"
CONTROLLER_REVISION_LABEL = "controller-revision-hash"

_LONGEST_SLUG = 100


def state_name(key: str) -> str:
    """The ConfigMap of a key: readable, and no other key's."""
    slug = re.sub(r"[^a-z0-9]+", "-", key.lower()).strip("-")[:_LONGEST_SLUG].rstrip("-")
    digest = hashlib.sha256(key.encode()).hexdigest()[:10]
    return "-".join(["cost-agent-state", *([slug] if slug else []), digest])


def environment_prefix(agent: str) -> str:
    """How the names of an agent's environment objects begin."""
    return f"{agent}-environment-"
