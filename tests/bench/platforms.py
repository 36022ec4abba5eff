# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent on every platform while it is operated: requests lost, and how long things take.

    python tests/bench/platforms.py                        everything, 9 rounds
    python tests/bench/platforms.py systemd scale --rounds 3

Prints the figures with their limits; exits 1 when one is not kept. Needs root, and what
scripts/install-platforms.sh and scripts/install-cluster.sh install. The sections on Kubernetes run
inside the network of a cluster of our own, which is started for them unless it is up.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # run as a script: the checkout's own packages come from there

from tests.bench import cluster_sections, operated_sites  # noqa: E402
from tests.bench.figures import Figure, machine, say, show  # noqa: E402
from tests.bench.operated_sites import Operated  # noqa: E402
from tests.bench.requests_under_operation import requests_under_operation  # noqa: E402
from tests.cluster.home import network  # noqa: E402
from tests.cluster.home.layout import Layout  # noqa: E402

CACHE = ROOT / ".cache" / "bench"
Section = Callable[[Path, int], Iterator[Figure]]


def under_load(platform: str, agent: Callable[[Path], AbstractContextManager[Operated]]) -> Section:
    """The section that puts load on a platform's agent; it takes one round."""

    def section(folder: Path, _rounds: int) -> Iterator[Figure]:
        with agent(folder) as operated:
            yield from requests_under_operation(platform, operated)

    return section


HERE: dict[str, Section] = {
    "process": under_load("process", operated_sites.process_agent),
    "systemd": under_load("systemd", operated_sites.systemd_agent),
    "docker": under_load("docker", operated_sites.docker_agent),
}
IN_CLUSTER: dict[str, Section] = {
    "kubernetes": under_load("kubernetes", operated_sites.kubernetes_agent),
    "scale": cluster_sections.scale,
    "faults": cluster_sections.faults,
    "autoscale": cluster_sections.autoscale,
    "thousand": cluster_sections.thousand,
}
SECTIONS = HERE | IN_CLUSTER


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--rounds", type=int, default=9, help="figures are of so many")
    given = parser.parse_args()
    unknown = sorted(set(given.sections) - set(SECTIONS))
    if unknown:
        parser.error(f"no section {', '.join(unknown)}; there are {', '.join(SECTIONS)}")
    return given


def measure(sections: Sequence[str], rounds: int) -> bool:
    """Whether these sections, run here, keep every limit."""
    CACHE.mkdir(parents=True, exist_ok=True)
    missed = 0
    for section in sections:
        say(f"\n{section}: {machine()}")
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            for figure in SECTIONS[section](Path(folder), rounds):
                show(figure)
                missed += figure.kept is False
    return missed == 0


def measure_in_cluster(sections: Sequence[str], rounds: int) -> bool:
    """The same inside the cluster's network, where pods and Services are reachable."""
    inside = [sys.executable, __file__, *sections, f"--rounds={rounds}"]
    home = [sys.executable, "-m", "tests.cluster.home", "run"]
    return subprocess.run([*home, *inside], cwd=ROOT, check=False).returncode == 0


def main() -> int:
    given = arguments()
    wanted = given.sections or list(SECTIONS)
    if network.is_inside(Layout().name):
        return 0 if measure(wanted, given.rounds) else 1
    here = [section for section in wanted if section in HERE]
    there = [section for section in wanted if section in IN_CLUSTER]
    kept = [measure(here, given.rounds)] if here else []
    kept += [measure_in_cluster(there, given.rounds)] if there else []
    say()
    say("every limit is kept" if all(kept) else "not every limit is kept")
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
