# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an autoscaler is told: bounds, target, and how fast it may go up and down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ...core.errors import invalid_option
from ..agent_options import at_least

REPLICAS = "replicas"
PERCENT = "percent"
MAX = "max"
MIN = "min"
DISABLED = "disabled"

# The most that the autoscaling/v2 API takes (HPAScalingRules, HPAScalingPolicy).
_LONGEST_STABILIZATION_S = 3600
_LONGEST_PERIOD_S = 1800
_MOST_REPLICAS = 10_000


@dataclass(frozen=True)
class RatePolicy:
    """At most `value` replicas, or percent of what there was, in any `period_s` seconds."""

    type: str  # replicas | percent
    value: int
    period_s: int


@dataclass(frozen=True)
class Rules:
    """How one direction goes.

    Of the recommendations of the last `stabilization_s` seconds the one nearest to the present
    count holds. Of several rate policies the one that allows the most holds (`max`), or the
    least (`min`); `disabled` never goes this way.
    """

    stabilization_s: int
    select: str
    policies: tuple[RatePolicy, ...]

    @property
    def longest_period_s(self) -> int:
        return max(policy.period_s for policy in self.policies)


# The API's own defaults: twice as many or 4 more each 15 s, whichever is more; down at once, once
# no recommendation of the last 300 s asked for more.
UP_POLICIES = (RatePolicy(REPLICAS, 4, 15), RatePolicy(PERCENT, 100, 15))
DOWN_POLICIES = (RatePolicy(PERCENT, 100, 15),)
UP_STABILIZATION_S = 0
DOWN_STABILIZATION_S = 300
SCALE_UP = Rules(UP_STABILIZATION_S, MAX, UP_POLICIES)
SCALE_DOWN = Rules(DOWN_STABILIZATION_S, MAX, DOWN_POLICIES)


@dataclass(frozen=True)
class Policy:
    """Bounds, and the CPU to hold in percent of what a replica asked for.

    The defaults are the guide's (Scaling, Horizontal Scaling).
    """

    min: int = 3
    max: int = 10
    cpu_percent: int = 70
    scale_up: Rules = SCALE_UP
    scale_down: Rules = SCALE_DOWN

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as results and records hold them."""
        plain = asdict(self)
        for rules in (plain["scale_up"], plain["scale_down"]):
            rules["policies"] = list(rules["policies"])
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Policy:
        """What `as_dict` gave; raises `KeyError` or `TypeError` for anything else."""
        return cls(
            min=plain["min"],
            max=plain["max"],
            cpu_percent=plain["cpu_percent"],
            scale_up=_rules(plain["scale_up"]),
            scale_down=_rules(plain["scale_down"]),
        )


def _rules(plain: Mapping[str, Any]) -> Rules:
    policies = tuple(RatePolicy(**policy) for policy in plain["policies"])
    return Rules(plain["stabilization_s"], plain["select"], policies)


def read_policy(params: Mapping[str, Any]) -> Policy:
    """The module's options, checked; raises `invalid_input`."""
    least, most = params["min"], params["max"]
    at_least("min", least, 1)
    _in_range("max", most, 1, _MOST_REPLICAS)
    if most < least:
        raise invalid_option("max", f"{most} is less than min, {least}", "Raise max or lower min")
    _in_range("cpu_percent", params["cpu_percent"], 1, 1000)
    return Policy(
        min=least,
        max=most,
        cpu_percent=params["cpu_percent"],
        scale_up=_read_rules("scale_up", params["scale_up"], UP_POLICIES),
        scale_down=_read_rules("scale_down", params["scale_down"], DOWN_POLICIES),
    )


def _read_rules(option: str, given: Mapping[str, Any], policies: Sequence[RatePolicy]) -> Rules:
    stabilization_s = given["stabilization_s"]
    _in_range(f"{option}.stabilization_s", stabilization_s, 0, _LONGEST_STABILIZATION_S)
    if given["policies"]:
        policies = [RatePolicy(p["type"], p["value"], p["period_s"]) for p in given["policies"]]
    for policy in policies:
        at_least(f"{option}.policies.value", policy.value, 1)
        _in_range(f"{option}.policies.period_s", policy.period_s, 1, _LONGEST_PERIOD_S)
    return Rules(stabilization_s, given["select"], tuple(policies))


def _in_range(option: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise invalid_option(option, f"{value} is out of range", f"Give {least} to {most}")


_RATE_POLICIES = {
    "type": "list",
    "elements": "dict",
    "options": {
        "type": {"type": "str", "choices": [REPLICAS, PERCENT], "required": True},
        "value": {"type": "int", "required": True},
        "period_s": {"type": "int", "default": 15},
    },
}


def _rules_argument(stabilization_s: int) -> dict[str, Any]:
    return {
        "type": "dict",
        "apply_defaults": True,
        "options": {
            "stabilization_s": {"type": "int", "default": stabilization_s},
            "select": {"type": "str", "choices": [MAX, MIN, DISABLED], "default": MAX},
            "policies": _RATE_POLICIES,
        },
    }


def policy_arguments() -> dict[str, dict[str, Any]]:
    """The options that `read_policy` reads."""
    return {
        "min": {"type": "int", "default": Policy.min},
        "max": {"type": "int", "default": Policy.max},
        "cpu_percent": {"type": "int", "default": Policy.cpu_percent},
        "scale_up": _rules_argument(UP_STABILIZATION_S),
        "scale_down": _rules_argument(DOWN_STABILIZATION_S),
    }
