# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which revision is the one of the present template; the documents are a real server's, shortened."""

from __future__ import annotations

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.kubernetes.names import (
    REVISION_ANNOTATION,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.kubernetes.revisions import (
    Revision,
    current_revision,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.kubernetes.workload import (
    Workload,
)

OLD, NEW = (Revision(n, (), f"hash-{n}", f"cost-agent-hash-{n}", {}, 0.0) for n in (1, 2))


def deployment(number: int, observed: int, updated: int) -> Workload:
    annotations = {REVISION_ANNOTATION: str(number)}
    metadata = {"name": "cost-agent", "generation": 7, "annotations": annotations}
    status = {"observedGeneration": observed, "replicas": 5, "updatedReplicas": updated}
    return Workload("Deployment", {"metadata": metadata, "spec": {}, "status": status})


@pytest.mark.parametrize(
    ("seen", "found"),
    [
        (deployment(number=1, observed=6, updated=3), None),  # its controller has not looked yet
        # It has scaled what there is, and not made the new ReplicaSet: the number is the old one's.
        (deployment(number=1, observed=7, updated=0), None),
        (deployment(number=2, observed=7, updated=1), NEW),
    ],
)
def test_a_deployments_number_counts_once_pods_are_made_from_its_template(seen, found):
    assert current_revision(seen, [NEW, OLD]) == found


def test_a_stateful_set_names_its_revision():
    metadata = {"name": "cost-agent", "generation": 7}
    status = {"observedGeneration": 7, "updateRevision": NEW.name}
    stateful = Workload("StatefulSet", {"metadata": metadata, "spec": {}, "status": status})
    assert current_revision(stateful, [NEW, OLD]) == NEW
