# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a URL names, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.errors import (
    OperationError,
    Reason,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.repository import (
    open_repository,
    open_state_store,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.repository.addresses import (
    S3Address,
    read_address,
)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("file:///var/lib/backups", Path("/var/lib/backups")),
        ("file:///with%20space", Path("/with space")),
        ("s3://bucket", S3Address("bucket", "")),
        ("s3://bucket/", S3Address("bucket", "")),
        ("s3://bucket/a/b", S3Address("bucket", "a/b/")),
        ("s3://bucket/a/", S3Address("bucket", "a/")),
        ("s3://Old_Bucket.name/ü b", S3Address("Old_Bucket.name", "ü b/")),
    ],
)
def test_a_url_names_a_folder_or_a_part_of_a_bucket(url, address):
    assert read_address("repository", url) == address


@pytest.mark.parametrize(
    "url",
    [
        "",
        "backups",
        "/var/lib/backups",
        "file:relative",
        "file://host/x",
        "file:///state\0",
        "file:///state%00/x",
        "http://x/y",
        "ftp://nowhere",
        "s3:bucket",
        "s3://",
        "s3:///prefix",
        "s3://b",
        "s3://bucket/a//b",
        "s3://bucket/../other",
        "s3://bucket/a?versionId=1",
        "s3://bucket/a\nb",
        "s3://arn:aws:s3:us-east-1:1:accesspoint/x",
    ],
)
@pytest.mark.parametrize("option", ["repository", "state_store"])
def test_another_url_is_refused_and_the_option_named(option, url):
    with pytest.raises(OperationError, match=f"option {option}:") as caught:
        read_address(option, url)
    assert caught.value.reason is Reason.INVALID_INPUT


def test_credentials_in_a_url_are_refused_and_not_repeated():
    with pytest.raises(OperationError, match="without credentials") as caught:
        read_address("repository", "s3://AKIA:planted-secret@bucket/prefix")
    assert "planted-secret" not in str(caught.value)


def test_a_url_is_told_without_what_is_not_in_it(fake_clock, tmp_path):
    def url(repository):
        return open_repository({"repository": repository, "s3": None}, fake_clock).url

    assert url("s3://bucket/a/b/") == "s3://bucket/a/b"
    assert url(f"file://{tmp_path}/a%20b") == f"file://{tmp_path}/a%20b"


def test_opening_touches_nothing(tmp_path, fake_clock):
    open_repository({"repository": f"file://{tmp_path}/backups", "s3": None}, fake_clock)
    open_repository({"repository": "s3://bucket", "s3": None}, fake_clock)
    open_state_store(f"file://{tmp_path}/state")
    open_state_store("s3://bucket/state")
    assert not list(tmp_path.iterdir())


def test_a_folder_needs_none_of_the_files_for_s3(tmp_path):
    program = f"""
import sys
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.clock import SystemClock
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.repository import (
    open_repository, open_state_store
)
open_state_store("file://{tmp_path}/state").write("a", b"1")
before = set(sys.modules)
assert not [name for name in before if name.endswith((".protocol", ".options"))], before
open_repository({{"repository": "file://{tmp_path}/x", "s3": None}}, SystemClock()).write("a", b"")
loaded = [name for name in sys.modules if "s3" in name or "boto" in name or "urllib3" in name]
assert not loaded, loaded
"""
    subprocess.run([sys.executable, "-c", program], check=True)
