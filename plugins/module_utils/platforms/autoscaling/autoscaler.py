# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One protocol for what holds a policy and looks after it, whichever platform does the scaling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from .decision import Condition
from .policy import Policy

# Who changes the count: the module `agent`, in a task of its own, or Kubernetes by itself.
BY_AGENT = "agent"
BY_KUBERNETES = "kubernetes"


@dataclass(frozen=True)
class Status:
    """What an autoscaler sees and wants.

    Counts are None where there is nothing yet to count; `recommended` is what the load asks for,
    before windows, rates and bounds. `replicas` are each one's CPU in percent, by name, None
    where it could not be measured.
    """

    scaled_by: str
    current_replicas: int | None = None
    desired_replicas: int | None = None
    recommended_replicas: int | None = None
    cpu_percent: int | None = None
    conditions: Sequence[Condition] = ()
    replicas: Mapping[str, int | None] = field(default_factory=dict)


class Autoscaler(Protocol):
    """The policy of one agent on one platform. Methods raise `OperationError`."""

    def policy(self) -> dict[str, Any] | None:
        """The policy in force, as `Policy.as_dict` gives it; None without one."""

    def exclusive(self) -> AbstractContextManager[object]:
        """No second run beside the block; raises `locked`."""

    def require_changeable(self) -> None:
        """Raise `precondition` when the policy that there is is not ours to change."""

    def require_scalable(self) -> None:
        """Raise `precondition` when no policy could do anything for this agent."""

    def set_policy(self, policy: Policy) -> str:
        """Put a policy in force; what was done, in a sentence."""

    def remove(self) -> str:
        """Leave the count alone from now on; what was done, in a sentence."""

    def status(self, policy: Policy, window_s: float, remember: bool) -> Status:
        """What the policy says now, of a CPU that is watched for so long where we watch it.

        With `remember`, later evaluations know of this one. Raises `locked` while another run
        changes the agent.
        """
