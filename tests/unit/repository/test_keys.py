# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys stay inside the repository, and every object can be listed."""

from __future__ import annotations

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.errors import (
    OperationError,
    Reason,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.repository import (
    open_repository,
)

BAD_KEYS = ["", "/", "/etc/passwd", "..", "../x", "a/../../x", "a//b", "a/", "a/./b", ".a", "a\0b"]


@pytest.fixture(params=["file", "s3"])
def repository(request, tmp_path, fake_clock):
    url = {"file": f"file://{tmp_path}/backups", "s3": "s3://bucket/prefix"}[request.param]
    return open_repository({"repository": url, "s3": None}, fake_clock)


@pytest.mark.parametrize("key", BAD_KEYS)
@pytest.mark.parametrize(
    "use",
    [
        lambda repository, key: repository.read(key),
        lambda repository, key: repository.open(key).__enter__(),
        lambda repository, key: repository.write(key, b""),
        lambda repository, key: repository.upload(key),
        lambda repository, key: repository.delete([key]),
        lambda repository, key: repository.delete_version(key, "v"),
        lambda repository, key: repository.protection_of(key),
    ],
    ids=["read", "open", "write", "upload", "delete", "delete_version", "protection_of"],
)
def test_a_key_that_leads_out_is_refused_before_anything_is_touched(repository, key, use, tmp_path):
    with pytest.raises(OperationError, match="is not the key") as caught:
        use(repository, key)
    assert caught.value.reason is Reason.INVALID_INPUT
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("prefix", ["/", "../", "a//", ".hidden/", "a"])
def test_only_folders_hold_folders_and_unfinished_uploads(repository, prefix):
    with pytest.raises(OperationError, match="is not the key"):
        list(repository.list_folders(prefix))
    with pytest.raises(OperationError, match="is not the key"):
        repository.abort_uploads(prefix)
