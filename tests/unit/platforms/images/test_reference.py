# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which texts are images, and which images can be releases."""

from __future__ import annotations

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.errors import (
    OperationError,
    Reason,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.images.reference import (
    ImageReference,
    check_reference,
    require_same_digest,
)

DIGEST = "sha256:" + "0a" * 32
OTHER = "sha256:" + "0b" * 32


@pytest.mark.parametrize(
    ("text", "repository", "tag", "digest"),
    [
        ("cost-agent:1.4.2", "cost-agent", "1.4.2", None),
        ("cost-agent", "cost-agent", None, None),
        ("registry:5000/team/cost-agent", "registry:5000/team/cost-agent", None, None),
        ("registry:5000/cost-agent:1.4.2", "registry:5000/cost-agent", "1.4.2", None),
        (f"r.example/a/b_c__d--e@{DIGEST}", "r.example/a/b_c__d--e", None, DIGEST),
        (f"cost-agent:1.4.2@{DIGEST}", "cost-agent", "1.4.2", DIGEST),
        ("[::1]:5000/cost-agent:1", "[::1]:5000/cost-agent", "1", None),
        ("REGISTRY.example/cost-agent:1", "REGISTRY.example/cost-agent", "1", None),
    ],
)
def test_a_reference_is_taken_apart_and_put_together(text, repository, tag, digest):
    reference = ImageReference.parse(text)
    assert (reference.repository, reference.tag, reference.digest) == (repository, tag, digest)
    assert str(reference) == text
    assert reference.pinned(OTHER) == f"{repository}@{OTHER}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Cost-Agent:1.4.2",
        "cost-agent:",
        "cost-agent:1.4.2 ",
        "cost-agent:1.4.2\n",
        "-cost-agent:1",
        "cost-agent@sha256:0a",
        "cost-agent@sha512:" + "0a" * 64,
        "https://registry/cost-agent:1",
        "cost-agent:" + "1" * 129,
        "a/" * 128 + "a:1",
        "--privileged",
    ],
)
def test_what_is_no_reference_is_refused(text):
    with pytest.raises(OperationError) as raised:
        ImageReference.parse(text)
    assert raised.value.reason is Reason.INVALID_INPUT


@pytest.mark.parametrize("text", ["cost-agent:1.4.2", f"cost-agent@{DIGEST}"])
def test_a_tag_of_its_own_or_a_digest_names_a_release(text):
    assert str(check_reference(text)) == text


@pytest.mark.parametrize("text", ["cost-agent", "cost-agent:latest", "registry:5000/cost-agent"])
def test_what_moves_names_no_release_unless_a_digest_pins_it(text):
    with pytest.raises(OperationError) as raised:
        check_reference(text)
    assert raised.value.reason is Reason.INVALID_INPUT
    assert "latest" in raised.value.seen
    assert check_reference(f"{text}@{DIGEST}").digest == DIGEST


def test_a_tag_that_moved_since_it_was_recorded_is_refused():
    require_same_digest("cost-agent:1.4.2", DIGEST, DIGEST)
    with pytest.raises(OperationError) as raised:
        require_same_digest("cost-agent:1.4.2", DIGEST, OTHER)
    assert raised.value.reason is Reason.PRECONDITION
    assert DIGEST in raised.value.seen
    assert OTHER in raised.value.seen
