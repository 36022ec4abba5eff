# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Quantities, refusals and options: what texts of the API and of an operator mean."""

from __future__ import annotations

import json

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.errors import (
    OperationError,
    Reason,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.kubernetes.errors import (
    Conflict,
    NotFound,
    Refusal,
    refusal_error,
    token_expiry,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.kubernetes.names import (
    state_name,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.kubernetes.options import (
    ClusterOptions,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.kubernetes.quantities import (
    cores_text,
    quantity,
    same,
)


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
