# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets do not leave an operation."""

from __future__ import annotations

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.redact import (
    redact,
    redact_text,
    secret_values,
)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("postgresql://app:hunter22@db:5432/x", "postgresql://app:********@db:5432/x"),
        ("redis://:hunter22@cache/0", "redis://:********@cache/0"),
        ("https://user@host/path", "https://user@host/path"),
        ("see http://host:8001/a@b", "see http://host:8001/a@b"),
        ("two a://b:c@d e://f:g@h", "two a://b:********@d e://f:********@h"),
    ],
)
def test_passwords_in_urls_are_masked(text, masked):
    assert redact_text(text) == masked


def test_a_longer_secret_is_masked_before_its_part():
    assert redact_text("secret-long and secret", {"secret", "secret-long"}) == (
        "******** and ********"
    )


def test_a_short_secret_does_not_garble_the_text():
    assert redact_text("port 8001", {"80"}) == "port 8001"


def test_every_string_of_a_structure_is_redacted():
    value = {"a": ["planted", {"planted": 5}], "b": ("x planted",), "c": None}
    expected = {"a": ["********", {"********": 5}], "b": ["x ********"], "c": None}
    assert redact(value, {"planted"}) == expected


def test_secret_values_are_found_in_suboptions_and_dicts():
    spec = {
        "password": {"no_log": True},
        "secrets": {"type": "dict", "no_log": True},
        "plain": {},
        "cache": {"options": {"token": {"no_log": True}, "port": {}}},
        "targets": {"elements": "dict", "options": {"key": {"no_log": True}}},
    }
    params = {
        "password": "one",
        "secrets": {"A": "two", "B": ["three"], "C": True},
        "plain": "not",
        "cache": {"token": "four", "port": 1},
        "targets": [{"key": "five"}, {"key": None}],
    }
    assert secret_values(params, spec) == {"one", "two", "three", "four", "five"}
