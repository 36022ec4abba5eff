# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Templates, owners, bounds and options: what is decided before anything is asked or changed."""

from __future__ import annotations

import copy
import json

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.errors import (
    OperationError,
    Reason,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.agent_options import (
    Serving,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.kubernetes.bounds import (
    Autoscaler,
    Bounds,
    bounds_for,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.kubernetes.brake import (
    brake_off,
    brake_on,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.kubernetes.names import (
    FLOOR_ANNOTATION,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.kubernetes.owners import (
    changed_fields,
    manager_of,
    owner_of,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.kubernetes.template import (
    agent_container,
    fingerprint,
    wanted_template,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.kubernetes.workload import (
    Workload,
)


def template(**container):
    own = {
        "name": "cost-agent",
        "image": "cost-agent:1.4.1",
        "env": [{"name": "THEIRS", "value": "kept"}],
        "envFrom": [{"secretRef": {"name": "theirs"}}],
        "resources": {"requests": {"memory": "64Mi"}, "limits": {"memory": "0.125Gi"}},
        **container,
    }
    spec = {"containers": [{"name": "sidecar", "image": "proxy:1"}, own]}
    return {"metadata": {"labels": {"app": "cost-agent"}}, "spec": spec}


def serving(memory_limit_mb=None, cpu_limit_cores=None):
    return Serving("0.0.0.0", 8001, "src.main:app", 1, "/ready", memory_limit_mb, cpu_limit_cores)


def is_ours(entry):
    return "ours" in json.dumps(entry)


def wanted(base, image="cost-agent:1.4.1", source=(), options=None, restarted_at=None):
    return wanted_template(
        base, "cost-agent", image, list(source), is_ours, options or serving(), restarted_at
    )


# --- the template -------------------------------------------------------------------------------


def test_a_template_that_is_as_wanted_is_the_same_document():
    once = wanted(template())
    assert wanted(once) == once


def test_only_the_image_our_variables_and_our_environment_are_set():
    ours = {"configMapRef": {"name": "ours-2"}}
    before = template(envFrom=[{"configMapRef": {"name": "ours-1"}}, *template_env_from()])
    container = agent_container(wanted(before, "cost-agent:1.4.2", [ours]), "cost-agent", None)
    assert container["image"] == "cost-agent:1.4.2"
    assert container["envFrom"] == [*template_env_from(), ours]
    variables = {each["name"]: each.get("value") for each in container["env"]}
    assert variables["THEIRS"] == "kept"
    assert variables["RELEASE_ID"] == "cost-agent:1.4.2"
    assert container["resources"] == template_resources()


def template_env_from():
    return template()["spec"]["containers"][1]["envFrom"]


def template_resources():
    return template()["spec"]["containers"][1]["resources"]


def test_what_it_is_made_from_is_left_as_it_was():
    before = template()
    kept = copy.deepcopy(before)
    wanted(before, "cost-agent:1.4.2", options=serving(64), restarted_at="now")
    assert before == kept


def test_a_limit_of_the_same_amount_is_no_change():
    before = wanted(template())
    assert wanted(before, options=serving(memory_limit_mb=128)) == before


def test_a_limit_below_the_request_brings_the_request_down():
    after = wanted(template(), options=serving(memory_limit_mb=32, cpu_limit_cores=0.5))
    resources = agent_container(after, "cost-agent", None)["resources"]
    assert resources == {
        "requests": {"memory": "32Mi"},
        "limits": {"memory": "32Mi", "cpu": "500m"},
    }


def test_a_restart_is_an_annotation_and_the_fingerprint_stays():
    before = wanted(template())
    after = wanted(before, restarted_at="2025-01-23T10:00:00Z")
    assert after != before
    assert fingerprint(after) == fingerprint(before)
    assert fingerprint(wanted(before, "cost-agent:1.4.2")) != fingerprint(before)


def test_what_controllers_add_is_no_part_of_the_fingerprint():
    plain = template()
    marked = copy.deepcopy(plain)
    marked["metadata"]["labels"]["pod-template-hash"] = "abc"
    marked["metadata"]["creationTimestamp"] = None
    marked["$patch"] = "replace"
    assert fingerprint(marked) == fingerprint(plain)


@pytest.mark.parametrize(
    ("agent", "named", "found"),
    [
        ("cost-agent", None, "cost-agent"),
        ("other", None, "sidecar"),
        ("cost-agent", "sidecar", "sidecar"),
    ],
)
def test_the_container_is_the_named_one_else_the_agents_else_the_first(agent, named, found):
    assert agent_container(template(), agent, named)["name"] == found


def test_a_container_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(OperationError, match="sidecar, cost-agent") as error:
        agent_container(template(), "cost-agent", "nobody")
    assert error.value.reason is Reason.PRECONDITION


# --- owners -------------------------------------------------------------------------------------


def owned(**metadata):
    return {"metadata": {"name": "cost-agent", **metadata}}


@pytest.mark.parametrize(
    ("metadata", "name", "place"),
    [
        (
            {"annotations": {"argocd.argoproj.io/tracking-id": "costs:apps/Deployment:a/b"}},
            "Argo CD's application costs",
            "Git",
        ),
        ({"labels": {"argocd.argoproj.io/instance": "costs"}}, "application costs", "Git"),
        (
            {
                "labels": {
                    "helm.toolkit.fluxcd.io/name": "costs",
                    "helm.toolkit.fluxcd.io/namespace": "flux",
                }
            },
            "Flux's HelmRelease flux/costs",
            "Git",
        ),
        ({"annotations": {"meta.helm.sh/release-name": "costs"}}, "Helm's release costs", "chart"),
        (
            {"ownerReferences": [{"kind": "ScaledObject", "name": "costs", "controller": True}]},
            "ScaledObject costs",
            "ScaledObject",
        ),
        ({"managedFields": [{"manager": "argocd-controller"}]}, "Argo CD", "Git"),
    ],
)
def test_who_would_put_it_back_is_named_with_the_place_to_change(metadata, name, place):
    owner = owner_of(owned(**metadata))
    assert owner is not None
    assert name in owner.name
    assert place in owner.place


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"managedFields": [{"manager": "kubectl-client-side-apply"}]},
        {"ownerReferences": [{"kind": "App", "name": "costs"}]},
        {"labels": {"app.kubernetes.io/managed-by": "optiinfra.cost_agent"}},
    ],
)
def test_what_nobody_puts_back_has_no_owner(metadata):
    assert owner_of(owned(**metadata)) is None


def test_the_field_that_another_changed_is_named_with_its_manager():
    before = {"spec": {"replicas": 3, "template": template()}}
    after = copy.deepcopy(before)
    after["spec"]["replicas"] = 2
    assert changed_fields(before, after) == [("spec", "replicas")]
    after["metadata"] = {
        "managedFields": [
            {"manager": "us", "time": "1", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
            {"manager": "them", "time": "2", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
            {"manager": "status", "time": "3", "fieldsV1": {"f:status": {}}},
        ]
    }
    assert manager_of(after, ("spec", "replicas")) == "them"
    assert manager_of(after, ("spec", "paused")) == "another writer"


def test_a_template_that_changed_is_named_as_deep_as_one_key_leads():
    before = {"spec": {"template": template()}}
    after = copy.deepcopy(before)
    after["spec"]["template"]["spec"]["nodeSelector"] = {"zone": "a"}
    assert changed_fields(before, after) == [("spec", "template", "spec", "nodeSelector")]
    assert changed_fields(before, before) == []


# --- bounds -------------------------------------------------------------------------------------


def autoscaler(least=3, most=10, floor=None, **metadata):
    annotations = {} if floor is None else {FLOOR_ANNOTATION: str(floor)}
    return Autoscaler(
        {
            "metadata": {
                "name": "cost-agent",
                "resourceVersion": "1",
                "annotations": annotations,
                **metadata,
            },
            "spec": {"minReplicas": least, "maxReplicas": most},
        }
    )


@pytest.mark.parametrize(
    ("found", "count", "is_new", "bounds"),
    [
        (autoscaler(), 5, True, Bounds(5, 10, 3)),
        (autoscaler(5, floor=3), 5, True, None),
        (autoscaler(5, floor=3), 3, True, Bounds(3, 10, None)),
        (autoscaler(5, floor=3), 4, True, Bounds(4, 10, 3)),
        (autoscaler(), 3, True, None),
        (autoscaler(), 2, False, None),
        (autoscaler(5, floor=3), 2, False, Bounds(3, 10, None)),
    ],
)
def test_a_count_is_the_least_and_never_below_the_policys(found, count, is_new, bounds):
    assert bounds_for(found, count, is_new, adjust=False, force=False) == bounds


@pytest.mark.parametrize(("count", "bound"), [(11, "maximum is 10"), (2, "minimum is 3")])
def test_a_count_outside_the_bounds_is_refused_with_them(count, bound):
    with pytest.raises(OperationError, match=bound) as error:
        bounds_for(autoscaler(), count, True, adjust=False, force=False)
    assert error.value.reason is Reason.PRECONDITION


@pytest.mark.parametrize(("count", "bounds"), [(11, (11, 11, 3)), (2, (2, 10, None))])
def test_bounds_are_moved_where_that_is_asked_for(count, bounds):
    assert bounds_for(autoscaler(), count, True, adjust=True, force=False) == Bounds(*bounds)


def test_bounds_that_keda_keeps_are_left_to_it():
    references = [{"kind": "ScaledObject", "name": "costs", "controller": True}]
    keda = autoscaler(ownerReferences=references)
    with pytest.raises(OperationError, match="ScaledObject costs owns"):
        bounds_for(keda, 5, True, adjust=False, force=False)
    assert bounds_for(keda, 5, True, adjust=False, force=True) == Bounds(5, 10, 3)


# --- the brake ----------------------------------------------------------------------------------


def deployment(**spec):
    metadata = {"name": "cost-agent", "namespace": "optiinfra", "annotations": {"team": "costs"}}
    spec = {"replicas": 3, "template": {}, "progressDeadlineSeconds": 600, **spec}
    return Workload("Deployment", {"metadata": metadata, "spec": spec})


def patched(workload, operations):
    """The workload after JSON patch operations on whole fields."""
    document = copy.deepcopy(workload.document)
    for operation in operations:
        _empty, part, key = operation["path"].split("/")
        if operation["op"] == "remove":
            del document[part][key]
        else:
            document[part][key] = operation["value"]
    return Workload(workload.kind, document)


@pytest.mark.parametrize(
    "workload",
    [
        deployment(),
        deployment(minReadySeconds=10, strategy={"type": "Recreate"}),
        Workload(
            "StatefulSet",
            {
                "metadata": {"name": "cost-agent", "namespace": "optiinfra", "annotations": {}},
                "spec": {"replicas": 3, "updateStrategy": {"type": "RollingUpdate"}},
            },
        ),
    ],
)
def test_a_brake_puts_back_what_it_put_aside(workload):
    braked = patched(workload, brake_on(workload))
    assert braked.brake is not None
    assert brake_on(braked) == []
    assert braked.document != workload.document
    assert patched(braked, brake_off(braked)).document == workload.document
    assert brake_off(workload) == []


def test_the_deadline_of_a_braked_deployment_lies_above_its_patience():
    spec = patched(deployment(), brake_on(deployment())).spec
    assert spec["progressDeadlineSeconds"] > spec["minReadySeconds"] > 86400 * 365
