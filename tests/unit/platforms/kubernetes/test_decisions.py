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
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.kubernetes.errors import (
    Conflict,
    NotFound,
    Refusal,
    refusal_error,
    token_expiry,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.kubernetes.names import (
    FLOOR_ANNOTATION,
    state_name,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.kubernetes.options import (
    ClusterOptions,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.kubernetes.owners import (
    changed_fields,
    manager_of,
    owner_of,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.kubernetes.quantities import (
    cores_text,
    quantity,
    same,
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


# --- texts of the API ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "right"), [("128Mi", "0.125Gi"), ("500m", "0.5"), ("1e3", "1k"), ("64Mi", "67108864")]
)
def test_quantities_that_mean_the_same_are_the_same(left, right):
    assert same(left, right)


@pytest.mark.parametrize("text", ["", "abc", "1Qi", "1.2.3", None, "5 m"])
def test_what_is_no_quantity_is_none(text):
    assert quantity(text) is None


@pytest.mark.parametrize(("cores", "text"), [(0.5, "500m"), (2, "2"), (0.0125, "12m")])
def test_cores_are_written_as_the_server_writes_them(cores, text):
    assert cores_text(cores) == text


def refusal(status, message="no", **body):
    return Refusal(
        status, "GET", "/x", json.dumps({"kind": "Status", "message": message, **body}).encode()
    )


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (400, Reason.INVALID_INPUT),
        (401, Reason.AUTH),
        (403, Reason.AUTH),
        (404, Reason.PRECONDITION),
        (409, Reason.PRECONDITION),
        (422, Reason.INVALID_INPUT),
        (429, Reason.UNREACHABLE),
        (503, Reason.UNREACHABLE),
        (418, Reason.PRECONDITION),
    ],
)
def test_a_refusal_has_a_reason(status, reason):
    assert refusal_error("read it", refusal(status), "https://api", None).reason is reason


def test_refusals_that_callers_handle_are_classes():
    assert isinstance(refusal_error("read", refusal(404), "https://api", None), NotFound)
    assert isinstance(refusal_error("write", refusal(409), "https://api", None), Conflict)


def test_an_invalid_object_lists_the_fields():
    causes = {"causes": [{"field": "spec.replicas", "message": "must not be negative"}]}
    error = refusal_error("write", refusal(422, details=causes), "https://api", None)
    assert error.details["state"]["causes"][0]["field"] == "spec.replicas"


def test_a_quota_is_a_budget():
    said = 'pods "a" is forbidden: exceeded quota: small'
    error = refusal_error("create", refusal(403, said), "https://api", None)
    assert error.reason is Reason.BUDGET


def test_what_is_no_status_object_is_told_as_it_is():
    html = Refusal(502, "GET", "/x", b"<html>\n  Bad   Gateway</html>")
    error = refusal_error("read", html, "https://api", None)
    assert "<html> Bad Gateway</html>" in str(error)


@pytest.mark.parametrize("token", [None, "", "abc", "a.b.c", "a.e30.c", "x.%%%.y"])
def test_a_token_that_says_no_expiry_has_none(token):
    assert token_expiry(token) is None


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("namespace", "Not_A_Name"),
        ("namespace", "a" * 64),
        ("workload", "-"),
        ("container", "a.b"),
        ("host", "ftp://x"),
        ("host", "https://user:word@x"),
        ("api_key", "without-a-host"),
        ("kubeconfig", "/no/such/file"),
        ("client_key", "/etc/hostname"),
        ("request_timeout_s", 0.0),
        ("request_timeout_s", float("nan")),
    ],
)
def test_a_bad_option_is_named(monkeypatch, option, value):
    for variable in ("K8S_AUTH_HOST", "K8S_AUTH_API_KEY", "K8S_AUTH_KUBECONFIG"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(OperationError) as error:
        ClusterOptions.of({option: value}, "cost-agent")
    assert error.value.reason is Reason.INVALID_INPUT
    assert f"kubernetes.{option}" in str(error.value)


def test_options_that_are_left_empty_have_their_defaults():
    options = ClusterOptions.of({"namespace": "", "workload": None, "context": ""}, "cost-agent")
    assert (options.namespace, options.workload) == ("optiinfra", "cost-agent")
    assert (options.kind, options.container) == ("Deployment", None)


def test_the_variables_of_kubernetes_core_are_taken_where_nothing_is_given(monkeypatch):
    monkeypatch.setenv("K8S_AUTH_HOST", "https://api:6443")
    monkeypatch.setenv("K8S_AUTH_API_KEY", "a-token")
    access = ClusterOptions.of({}, "cost-agent").access
    assert (access.host, access.api_key) == ("https://api:6443", "a-token")
    assert "a-token" not in repr(access)
    given = ClusterOptions.of({"host": "https://other"}, "cost-agent").access
    assert (given.host, given.api_key) == ("https://other", None)


def test_state_names_are_valid_and_no_two_keys_share_one():
    keys = ["locks/cost-agent", "locks/cost_agent", "locks-cost-agent", "/", "ä" * 300]
    names = {state_name(key) for key in keys}
    assert len(names) == len(keys)
    assert all(len(name) < 253 and name.isascii() and name == name.lower() for name in names)
