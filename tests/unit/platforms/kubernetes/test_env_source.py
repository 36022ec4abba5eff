# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who keeps a variable of the agent, and where to change it then."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.errors import (
    OperationError,
    Reason,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.kubernetes.env_source import (
    require_no_other_source,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.kubernetes.environment import (
    EnvironmentObjects,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.kubernetes.workload import (
    Workload,
)

NAMES = ("DB_POOL_SIZE", "DB_MAX_OVERFLOW")
OURS = {"configMapRef": {"name": "cost-agent-environment-0123456789"}}


class Client:
    """Objects by the end of their path; a Secret may be one that this user must not read."""

    def __init__(self, **objects: Any) -> None:
        self._objects = objects

    def find(self, path: str, wanted: str) -> Any:
        found = self._objects.get(path.rpartition("/")[2].replace("-", "_"))
        if isinstance(found, OperationError):
            raise found
        return found


def cluster(container: dict[str, Any], force: bool = False, **objects: Any) -> Any:
    labels = objects.pop("labels", {})
    document = {
        "metadata": {"name": "cost-agent", "namespace": "optiinfra", **labels},
        "spec": {"template": {"spec": {"containers": [{"name": "cost-agent", **container}]}}},
    }
    client: Any = Client(**objects)
    return SimpleNamespace(
        workloads=SimpleNamespace(find=lambda: Workload("Deployment", document)),
        options=SimpleNamespace(container=None, force=force),
        client=client,
        environments=EnvironmentObjects(client, "optiinfra", "cost-agent"),
    )


def refusal(found: Any) -> str:
    with pytest.raises(OperationError) as caught:
        require_no_other_source(found, "cost-agent", NAMES)
    assert caught.value.reason is Reason.PRECONDITION
    return str(caught.value)


def config_map(**data: str) -> dict[str, Any]:
    return {"metadata": {"name": "settings"}, "data": data}


def test_what_only_our_environment_says_is_ours() -> None:
    found = cluster(
        {"envFrom": [OURS], "env": [{"name": "LOG_LEVEL", "value": "INFO"}]},
        cost_agent_environment_0123456789=config_map(DB_POOL_SIZE="5"),
    )
    require_no_other_source(found, "cost-agent", NAMES)


def test_a_config_map_of_the_users_is_named() -> None:
    reference = {"configMapRef": {"name": "settings"}}
    words = refusal(cluster({"envFrom": [reference]}, settings=config_map(DB_POOL_SIZE="5")))
    assert "DB_POOL_SIZE is kept in ConfigMap optiinfra/settings" in words
    assert "Change it in ConfigMap optiinfra/settings" in words
    harmless = cluster({"envFrom": [reference]}, settings=config_map(LOG_LEVEL="INFO"))
    require_no_other_source(harmless, "cost-agent", NAMES)


def test_a_prefix_is_part_of_the_name() -> None:
    reference = {"configMapRef": {"name": "settings"}, "prefix": "DB_"}
    words = refusal(cluster({"envFrom": [reference]}, settings=config_map(POOL_SIZE="5")))
    assert "DB_POOL_SIZE" in words


def test_the_owner_of_a_config_map_is_where_to_change_it() -> None:
    owned = config_map(DB_POOL_SIZE="5")
    owned["metadata"]["annotations"] = {"meta.helm.sh/release-name": "costs"}
    words = refusal(cluster({"envFrom": [{"configMapRef": {"name": "settings"}}]}, settings=owned))
    assert "Helm's release costs owns" in words
    assert "Change it in the values of its chart" in words


@pytest.mark.parametrize(
    ("entry", "place"),
    [
        ({"value": "5"}, "the template of Deployment optiinfra/cost-agent"),
        ({"valueFrom": {"configMapKeyRef": {"name": "x", "key": "k"}}}, "ConfigMap optiinfra/x"),
        ({"valueFrom": {"secretKeyRef": {"name": "x", "key": "k"}}}, "Secret optiinfra/x"),
    ],
)
def test_an_env_entry_wins_over_ours_and_is_named(entry: dict[str, Any], place: str) -> None:
    words = refusal(cluster({"env": [{"name": "DB_MAX_OVERFLOW", **entry}]}))
    assert f"DB_MAX_OVERFLOW is kept in {place}" in words


def test_an_owner_of_the_workload_is_named_unless_forced() -> None:
    helm = {"labels": {"annotations": {"meta.helm.sh/release-name": "costs"}}}
    words = refusal(cluster({}, **helm))
    assert "Helm's release costs owns it" in words
    assert "the values of its chart" in words
    require_no_other_source(cluster({}, force=True, **helm), "cost-agent", NAMES)


def test_a_secret_that_must_not_be_read_is_passed_over() -> None:
    denied = OperationError(Reason.AUTH, "read it", "it is not allowed", "Ask for it")
    found = cluster({"envFrom": [{"secretRef": {"name": "hidden"}}]}, hidden=denied)
    require_no_other_source(found, "cost-agent", NAMES)
