# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The published formula of the HorizontalPodAutoscaler, from the CPU of replicas to their count.

"Algorithm details" of the Kubernetes documentation on horizontal pod autoscaling:
desired = ceil(replicas x utilisation / target), unless their ratio is within 0.1 of 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction

# --horizontal-pod-autoscaler-tolerance: 0.1 in every release since 1.7.
TOLERANCE = Fraction(1, 10)


class Standing(Enum):
    """How a replica counts: by its measurement, by an assumption, or only when scaling up."""

    MEASURED = "measured"
    MISSING = "missing"
    UNREADY = "unready"


@dataclass(frozen=True)
class Sample:
    """The CPU of one replica in thousandths of a core; `used` counts where it was measured.

    `requested` is what 100 % stands for.
    """

    replica: str
    standing: Standing
    requested: int
    used: int = 0


@dataclass(frozen=True)
class Proposal:
    """The count that the measurements ask for, None when nothing could be measured.

    `cpu_percent` is the average of what was measured.
    """

    replicas: int | None
    cpu_percent: int | None
    note: str


def propose(current: int, samples: Sequence[Sample], target_percent: int) -> Proposal:
    """The replicas that would bring the average CPU to the target.

    What cannot be seen never makes a step larger: a replica without a measurement is taken for
    one that uses all it asked for (or the target, where that is more) when the others ask for
    fewer, and nothing when they ask for more. One that is not ready uses nothing when they ask
    for more, and is left out otherwise. A step that these assumptions turn round is not taken.
    """
    measured = _standing(samples, Standing.MEASURED)
    missing = _standing(samples, Standing.MISSING)
    unready = _standing(samples, Standing.UNREADY)
    if not measured:
        return Proposal(None, None, "the CPU of no ready replica could be measured")
    percent = _utilisation(measured)
    ratio = Fraction(percent, target_percent)
    assumed = [_with_use(sample, ratio, target_percent) for sample in missing]
    if ratio > 1:
        assumed += [Sample(s.replica, s.standing, s.requested) for s in unready]
    if assumed and ratio != 1:
        counted = [*measured, *assumed]
        assumed_ratio = Fraction(_utilisation(counted), target_percent)
        if (assumed_ratio > 1) != (ratio > 1):
            names = ", ".join(sample.replica for sample in assumed)
            return Proposal(current, percent, f"what {names} may use leaves it open")
    else:
        counted, assumed_ratio = measured, ratio
    if abs(assumed_ratio - 1) <= TOLERANCE:
        return Proposal(current, percent, f"{percent} % is close enough to {target_percent} %")
    wanted = -(-assumed_ratio.numerator * len(counted) // assumed_ratio.denominator)
    if (wanted > current) != (ratio > 1):
        wanted = current  # replicas that are on their way already, or on their way out
    return Proposal(wanted, percent, f"{percent} % on average, where {target_percent} % is wanted")


def _standing(samples: Sequence[Sample], standing: Standing) -> list[Sample]:
    return [sample for sample in samples if sample.standing is standing]


def _with_use(sample: Sample, ratio: Fraction, target_percent: int) -> Sample:
    percent = max(100, target_percent) if ratio < 1 else 0
    used = sample.requested * percent // 100
    return Sample(sample.replica, sample.standing, sample.requested, used)


def _utilisation(samples: Sequence[Sample]) -> int:
    """Whole percent, rounded down as the HorizontalPodAutoscaler does."""
    requested = sum(sample.requested for sample in samples)
    return 100 * sum(sample.used for sample in samples) // requested
