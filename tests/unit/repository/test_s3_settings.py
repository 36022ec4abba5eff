# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of S3: what is refused before anything is asked."""

from __future__ import annotations

import sys

import botocore
import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.errors import (
    OperationError,
    Reason,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.repository import (
    open_repository,
    repository_arguments,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.repository.s3_client import (
    S3Settings,
    connect,
)
from botocore.loaders import JSONFileLoader


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"access_key": "a"}, "go together"),
        ({"secret_key": "planted-secret"}, "go together"),
        ({"session_token": "planted-secret"}, "session_token"),
        ({"kms_key_id": "k"}, "sse is not aws:kms"),
        ({"kms_key_id": "k", "sse": "AES256"}, "sse is not aws:kms"),
        ({"endpoint_url": "minio:9000"}, "endpoint_url"),
        ({"endpoint_url": "ftp://minio"}, "endpoint_url"),
        ({"endpoint_url": "http://"}, "endpoint_url"),
        ({"endpoint_url": "http://host:port"}, "endpoint_url"),
        ({"endpoint_url": "http://host:99999"}, "endpoint_url"),
        ({"endpoint_url": "http://me:planted-secret@host"}, "credentials in it"),
        ({"ca_file": "/nowhere/ca.pem"}, "ca_file"),
        ({"connect_timeout_s": 0}, "connect_timeout_s"),
        ({"read_timeout_s": float("nan")}, "read_timeout_s"),
        ({"max_attempts": 0}, "max_attempts"),
    ],
)
def test_bad_settings_are_refused_by_name(options, words, fake_clock):
    with pytest.raises(OperationError, match=words) as caught:
        open_repository({"repository": "s3://bucket", "s3": options}, fake_clock)
    assert caught.value.reason is Reason.INVALID_INPUT
    assert "planted-secret" not in str(caught.value)


def test_the_defaults_are_those_of_the_options():
    options = repository_arguments()["s3"]["options"]
    defaults = {name: option.get("default") for name, option in options.items()}
    assert S3Settings.of(defaults) == S3Settings()
    assert {name for name, default in defaults.items() if default is None} == {
        name for name, value in vars(S3Settings()).items() if value is None
    }


@pytest.mark.parametrize("name", ["secret_key", "session_token"])
def test_secrets_are_marked(name):
    assert repository_arguments()["s3"]["options"][name]["no_log"] is True


@pytest.mark.parametrize(
    ("settings", "environment", "style"),
    [
        ({}, {}, None),
        ({"endpoint_url": "http://minio:9000"}, {}, "path"),
        ({}, {"AWS_ENDPOINT_URL": "http://minio:9000"}, "path"),
        ({}, {"AWS_ENDPOINT_URL_S3": "http://minio:9000"}, "path"),
        ({"endpoint_url": "http://minio:9000", "path_style": False}, {}, "virtual"),
        ({"path_style": True}, {}, "path"),
    ],
)
def test_path_style_is_for_servers_other_than_aws(settings, environment, style, monkeypatch):
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    client = connect(S3Settings(**settings), "try")
    assert client.meta.config.s3.get("addressing_style") == style


def test_a_second_client_reads_no_description_of_s3_again(monkeypatch):
    connect(S3Settings(), "try")
    read = []
    monkeypatch.setattr(JSONFileLoader, "load_file", lambda _self, path: read.append(path))
    assert connect(S3Settings(endpoint_url="http://minio:9000"), "try")
    assert read == []


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "botocore", None)
    with pytest.raises(OperationError, match=r"Install boto3 1\.36 or newer") as caught:
        connect(S3Settings(), "list s3://bucket")
    assert caught.value.reason is Reason.MISSING_LIBRARY


def test_a_library_that_is_too_old_is_named(monkeypatch):
    monkeypatch.setattr(botocore, "__version__", "1.29.27")
    with pytest.raises(OperationError, match=r"too old: 1\.29\.27") as caught:
        connect(S3Settings(), "list s3://bucket")
    assert caught.value.reason is Reason.MISSING_LIBRARY


def test_a_profile_that_does_not_exist_is_invalid_input(monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    with pytest.raises(OperationError, match="nobody") as caught:
        connect(S3Settings(profile="nobody"), "list s3://bucket")
    assert caught.value.reason is Reason.INVALID_INPUT
