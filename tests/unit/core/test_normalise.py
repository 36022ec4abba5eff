# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CLI strings, JSON types and survey answers give the same options."""

from __future__ import annotations

import datetime

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.errors import (
    OperationError,
    Reason,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.normalise import normalise

SPEC = {
    "release": {"type": "str"},
    "replicas": {"type": "int"},
    "hosts": {"type": "list", "elements": "str"},
    "labels": {"type": "dict"},
    "cache": {"type": "dict", "options": {"port": {"type": "int"}, "name": {"type": "str"}}},
    "targets": {"type": "list", "elements": "dict", "options": {"url": {"type": "str"}}},
}


@pytest.mark.parametrize("unset", ["", None])
def test_an_empty_string_is_an_unset_option(unset):
    assert normalise({"release": unset, "replicas": unset}, SPEC) == {}


def test_suboptions_are_unset_the_same_way():
    arguments = {"cache": {"port": "", "name": "x"}, "targets": [{"url": ""}, {"url": "u"}]}
    assert normalise(arguments, SPEC) == {"cache": {"name": "x"}, "targets": [{}, {"url": "u"}]}


@pytest.mark.parametrize(
    ("text", "value"),
    [('["a", "b"]', ["a", "b"]), ("a,b", "a,b"), ("[broken", "[broken")],
)
def test_a_list_may_be_written_as_json(text, value):
    assert normalise({"hosts": text}, SPEC) == {"hosts": value}


def test_a_dict_may_be_written_as_json():
    assert normalise({"labels": '{"a": 1}'}, SPEC) == {"labels": {"a": 1}}


@pytest.mark.parametrize("value", [1.1, True, False])
def test_text_that_became_another_type_is_refused(value):
    with pytest.raises(OperationError) as caught:
        normalise({"release": value}, SPEC)
    assert caught.value.reason is Reason.INVALID_INPUT
    assert "Quote it" in str(caught.value)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("cache", 5),
        ("cache", True),
        ("labels", ["a"]),
        ("targets", [5]),
        ("replicas", "-inf"),
        ("replicas", "NaN"),
    ],
)
def test_a_value_of_another_shape_is_refused(option, value):
    with pytest.raises(OperationError) as caught:
        normalise({option: value}, SPEC)
    assert caught.value.reason is Reason.INVALID_INPUT
    assert option in str(caught.value)


def test_options_unset_within_json_text_are_unset_too():
    assert normalise({"cache": '{"port": "", "name": "x"}'}, SPEC) == {"cache": {"name": "x"}}


def test_a_date_keeps_its_text():
    assert normalise({"release": datetime.date(2026, 1, 2)}, SPEC) == {"release": "2026-01-02"}


def test_text_options_keep_text_that_looks_like_json():
    assert normalise({"release": "[1]"}, SPEC) == {"release": "[1]"}


def test_an_unknown_option_is_left_to_the_argument_spec():
    assert normalise({"other": 1.5}, {"other": {"type": "float"}}) == {"other": 1.5}
