# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What load is sent where, read from the options once and checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...core.errors import OperationError, Reason, invalid_option
from ...core.operation import Params
from ...health import (
    Transport,
    check_text,
    read_path,
    read_targets,
    read_transport,
    replica_options,
    require_between,
)
from .figures import Figures

MOST_A_SECOND = 1000
MOST_SECONDS = 600
MOST_REQUESTS = 100_000
_DETAILED_PATH = "/api/v1/health/detailed"


@dataclass(frozen=True)
class LoadPlan:
    """One load: `rate` requests a second over all of `urls`, each a running replica's address.

    Requests of the first `warm_up_s` seconds are sent and not counted. `before` are the figures to
    compare with, and `changes` what was set in between: by its name, the old and the new value.
    """

    agent: str
    urls: tuple[str, ...]
    path: str
    detailed_path: str
    rate: float
    duration_s: float
    warm_up_s: float
    abort_at_failed_percent: float
    transport: Transport = field(repr=False)
    before: Figures | None = None
    changes: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    report: str | None = None

    @property
    def timeout_s(self) -> float:
        """What an answer may take, from when its request was due."""
        return self.transport.timeout_s

    @property
    def warm_up_requests(self) -> int:
        """How many are sent before those that count."""
        return math.ceil(self.warm_up_s * self.rate)

    @property
    def requests(self) -> int:
        """How many are sent altogether."""
        return self.warm_up_requests + max(1, round(self.duration_s * self.rate))

    @property
    def text(self) -> str:
        """`1100 requests to 2 replicas, 50/s for 22 s`."""
        where = f"{len(self.urls)} replica{'s' if len(self.urls) > 1 else ''}"
        seconds = self.warm_up_s + self.duration_s
        return f"{self.requests} requests to {where}, {self.rate:g}/s for {seconds:g} s"


def load_arguments() -> dict[str, dict[str, Any]]:
    """Mirrored by the documentation of module load_test; a test compares the two."""
    return {
        **replica_options(),
        "path": {"type": "str", "default": _DETAILED_PATH},
        "detailed_path": {"type": "str", "default": _DETAILED_PATH},
        "rate": {"type": "float", "required": True},
        "duration_s": {"type": "float", "default": 20.0},
        "warm_up_s": {"type": "float", "default": 2.0},
        "timeout_s": {"type": "float", "default": 5.0},
        "abort_at_failed_percent": {"type": "float", "default": 50.0},
        "before": {"type": "dict"},
        "settings_before": {"type": "dict", "default": {}},
        "settings_after": {"type": "dict", "default": {}},
        "report": {"type": "path"},
    }


def read_load_plan(params: Params) -> LoadPlan:
    """The plan in the options; `invalid_input` names the first fault in them.

    `precondition` where no replica runs.
    """
    for option, value in params.items():
        if option != "headers":  # read_transport has a stricter check
            check_text(option, value)
    rate, duration_s, warm_up_s = (params[n] for n in ("rate", "duration_s", "warm_up_s"))
    if not 0 < rate <= MOST_A_SECOND:
        raise invalid_option(
            "rate",
            f"{rate:g} requests a second are not above 0 and at most {MOST_A_SECOND}",
            "Give what the agent's clients send at a busy time",
        )
    require_between("duration_s", duration_s, 0.1, MOST_SECONDS)
    require_between("warm_up_s", warm_up_s, 0, 60)
    require_between("timeout_s", params["timeout_s"], 0.001, 60)
    require_between("abort_at_failed_percent", params["abort_at_failed_percent"], 1, 100)
    plan = LoadPlan(
        agent=params["agent"],
        urls=_running(params),
        path=read_path("path", params["path"]),
        detailed_path=read_path("detailed_path", params["detailed_path"]),
        rate=rate,
        duration_s=duration_s,
        warm_up_s=warm_up_s,
        abort_at_failed_percent=params["abort_at_failed_percent"],
        transport=read_transport(params),
        before=_before(params),
        changes=changed_settings(params["settings_before"], params["settings_after"]),
        report=params["report"],
    )
    if plan.requests > MOST_REQUESTS:
        raise invalid_option(
            "rate",
            f"{rate:g} a second for {warm_up_s + duration_s:g} s are {plan.requests} requests, "
            f"more than {MOST_REQUESTS}",
            "Send fewer, or for a shorter time",
        )
    return plan


def _running(params: Params) -> tuple[str, ...]:
    targets = read_targets(params["targets"])
    if not targets:
        raise invalid_option(
            "targets",
            "nothing was given to send a load to, and an empty list means nothing",
            "Give the targets of agent_info; check that the agent has replicas",
        )
    running = tuple(target.url for target in targets if not target.not_running)
    if not running:
        raise OperationError(
            Reason.PRECONDITION,
            f"send a load to {params['agent']}",
            f"none of its {len(targets)} replicas runs",
            "Start it with playbooks/start.yml",
        )
    return running


def _before(params: Params) -> Figures | None:
    if not params["before"]:
        return None
    try:
        before = Figures.of(params["before"])
    except (KeyError, TypeError, ValueError) as error:
        raise invalid_option(
            "before", "it is not what a load_test returned", "Give its result's state"
        ) from error
    for name in ("path", "rate", "duration_s", "warm_up_s"):
        if getattr(before, name) != params[name]:
            raise invalid_option(
                "before",
                f"its {name} was {getattr(before, name)} and is {params[name]} now, and two loads "
                "that differ tell nothing of what changed in between",
                "Measure with the same load before and after",
            )
    return before


def changed_settings(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> dict[str, tuple[str, str]]:
    """What differs, by its name; `-` where one of the two does not say it."""
    names = [*before, *(name for name in after if name not in before)]
    pairs = {str(name): (_text(before.get(name)), _text(after.get(name))) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:g}" if isinstance(value, float) else str(value)
