# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the count that the load asks for to the one that may be taken now.

"Configurable scaling behavior" of the Kubernetes documentation on horizontal pod autoscaling, and
its names of conditions, so that a decision reads the same on every platform.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from .formula import Proposal
from .policy import DISABLED, MIN, PERCENT, Policy, RatePolicy, Rules

SCALING_ACTIVE = "ScalingActive"
ABLE_TO_SCALE = "AbleToScale"
SCALING_LIMITED = "ScalingLimited"


@dataclass(frozen=True)
class Condition:
    """Something that holds or does not (`is_true`): a word of Kubernetes's, and a sentence."""

    type: str
    is_true: bool
    reason: str
    message: str


@dataclass(frozen=True)
class Memory:
    """What earlier evaluations leave: recommendations and changes of the count, with times.

    A recommendation is `(at, replicas)`, a change `(at, difference)`, times in seconds since the
    epoch; `count` is the one seen last. Only what the policy still looks at is kept.
    """

    count: int | None = None
    recommendations: tuple[tuple[float, int], ...] = ()
    changes: tuple[tuple[float, int], ...] = ()

    def with_count(self, count: int, since: float, now: float) -> Memory:
        """Knowing the present count, in force `since` then.

        Without an earlier recommendation the present count stands in for one, so that an
        autoscaler that has just begun takes nothing away before its window has passed.
        """
        changes = self.changes
        if self.count is not None and self.count != count:
            changes = (*changes, (since, count - self.count))
        return Memory(count, self.recommendations or ((now, count),), changes)

    def of_use(self, policy: Policy, now: float) -> Memory:
        """Without what is too old for the policy, or of a clock that ran ahead."""
        up, down = policy.scale_up, policy.scale_down
        window_s = max(up.stabilization_s, down.stabilization_s)
        period_s = max(up.longest_period_s, down.longest_period_s)
        return replace(
            self,
            recommendations=tuple(_since(self.recommendations, now, window_s)),
            changes=tuple(_since(self.changes, now, period_s)),
        )


@dataclass(frozen=True)
class Decision:
    """What to do now: the count, the one that the load asked for, and why they differ."""

    desired: int
    recommended: int | None
    cpu_percent: int | None
    conditions: tuple[Condition, ...]
    memory: Memory


def decide(
    policy: Policy, current: int, proposal: Proposal, memory: Memory, now: float
) -> Decision:
    """Stabilise a proposal, and keep it to the rates and bounds of the policy.

    A count outside the bounds is brought to the nearer one at once, measured or not. Where
    nothing could be measured, nothing else changes and nothing is remembered.
    """
    outside = _into_bounds(policy, current)
    if outside is not None:
        return Decision(outside[0], None, proposal.cpu_percent, (outside[1],), memory)
    if proposal.replicas is None:
        blind = Condition(SCALING_ACTIVE, False, "FailedGetResourceMetric", proposal.note)
        return Decision(current, None, None, (blind,), memory)
    active = Condition(SCALING_ACTIVE, True, "ValidMetricFound", proposal.note)
    stabilised, able = _stabilised(policy, current, proposal.replicas, memory, now)
    desired, limited = _limited(policy, current, stabilised, memory, now)
    recommendations = (*memory.recommendations, (now, proposal.replicas))
    return Decision(
        desired,
        proposal.replicas,
        proposal.cpu_percent,
        (active, able, limited),
        replace(memory, recommendations=recommendations),
    )


def _into_bounds(policy: Policy, current: int) -> tuple[int, Condition] | None:
    if current > policy.max:
        message = f"{current} replicas are more than the maximum of {policy.max}"
        return policy.max, Condition(SCALING_LIMITED, True, "TooManyReplicas", message)
    if current < policy.min:
        message = f"{current} replicas are fewer than the minimum of {policy.min}"
        return policy.min, Condition(SCALING_LIMITED, True, "TooFewReplicas", message)
    return None


def _stabilised(
    policy: Policy, current: int, proposed: int, memory: Memory, now: float
) -> tuple[int, Condition]:
    """The count nearest to the present one that was recommended within a direction's window."""
    lately_up = _since(memory.recommendations, now, policy.scale_up.stabilization_s)
    lately_down = _since(memory.recommendations, now, policy.scale_down.stabilization_s)
    lowest = min([proposed, *(replicas for _at, replicas in lately_up)])
    highest = max([proposed, *(replicas for _at, replicas in lately_down)])
    stabilised = min(max(current, lowest), highest)
    if stabilised == proposed:
        return proposed, Condition(ABLE_TO_SCALE, True, "ReadyForNewScale", "nothing holds it back")
    reason, window_s, extreme = "ScaleUpStabilized", policy.scale_up.stabilization_s, "lowest"
    if proposed < current:
        reason, window_s = "ScaleDownStabilized", policy.scale_down.stabilization_s
        extreme = "highest"
    message = (
        f"{proposed} would do, but the {extreme} recommendation of the last {window_s} s holds"
    )
    return stabilised, Condition(ABLE_TO_SCALE, True, reason, message)


def _limited(
    policy: Policy, current: int, wanted: int, memory: Memory, now: float
) -> tuple[int, Condition]:
    """The count within the rates and bounds; `current` is within the bounds."""
    desired, reason, message = wanted, "DesiredWithinRange", f"{wanted} is within all limits"
    if wanted > current:
        fastest = max(current, up_limit(policy.scale_up, current, memory, now))
        if wanted > min(fastest, policy.max):
            desired, reason = policy.max, "TooManyReplicas"
            message = f"{wanted} are wanted, and {policy.max} is the maximum"
            if fastest < policy.max:
                desired, reason = fastest, "ScaleUpLimit"
                message = f"{wanted} are wanted, and the rate of scale_up allows {fastest} by now"
    elif wanted < current:
        fastest = min(current, down_limit(policy.scale_down, current, memory, now))
        if wanted < max(fastest, policy.min):
            desired, reason = policy.min, "TooFewReplicas"
            message = f"{wanted} would do, and {policy.min} is the minimum"
            if fastest > policy.min:
                desired, reason = fastest, "ScaleDownLimit"
                message = f"{wanted} would do, and the rate of scale_down allows {fastest} by now"
    return desired, Condition(SCALING_LIMITED, desired != wanted, reason, message)


def up_limit(rules: Rules, current: int, memory: Memory, now: float) -> int:
    """The highest count that the rates allow now; a share of a replica counts as a whole one."""
    if rules.select == DISABLED:
        return current
    limits = []
    for policy in rules.policies:
        start = _at_start_of_period(policy, current, memory, now)
        percent_of_it = -(-start * (100 + policy.value) // 100)
        limits.append(percent_of_it if policy.type == PERCENT else start + policy.value)
    return min(limits) if rules.select == MIN else max(limits)


def down_limit(rules: Rules, current: int, memory: Memory, now: float) -> int:
    """The lowest count that the rates allow now; a share of a replica counts as a whole one."""
    if rules.select == DISABLED:
        return current
    limits = []
    for policy in rules.policies:
        start = _at_start_of_period(policy, current, memory, now)
        percent_of_it = max(0, start * (100 - policy.value)) // 100
        limits.append(percent_of_it if policy.type == PERCENT else start - policy.value)
    return max(limits) if rules.select == MIN else min(limits)


def _at_start_of_period(policy: RatePolicy, current: int, memory: Memory, now: float) -> int:
    return current - sum(change for _at, change in _since(memory.changes, now, policy.period_s))


def _since(
    entries: Sequence[tuple[float, int]], now: float, seconds: float
) -> Iterable[tuple[float, int]]:
    """Those of the last so many seconds, and none of the future."""
    return [entry for entry in entries if now - seconds < entry[0] <= now]
