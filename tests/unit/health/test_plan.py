# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options are checked before anything is asked."""

from __future__ import annotations

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.errors import (
    OperationError,
    Reason,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.health.health_info import (
    HEALTH_INFO,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.health.indicators import (
    Thresholds,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.health.plan import read_plan

TARGET = {"name": "a", "url": "http://localhost:8001"}


def options(**arguments: object) -> dict[str, object]:
    validated = ArgumentSpecValidator(HEALTH_INFO.argument_spec, **HEALTH_INFO.rules).validate(
        arguments
    )
    assert not validated.error_messages
    return validated.validated_parameters


def test_the_guides_numbers_are_the_defaults():
    plan = read_plan(options(targets=[TARGET]))
    assert plan.thresholds == Thresholds(100, 50, 10, 80, 70)
    assert (plan.basic_path, plan.detailed_path) == ("/api/v1/health", "/api/v1/health/detailed")
    assert (plan.samples, plan.transport.timeout_s, plan.require) == (5, 5.0, None)


def test_a_target_without_a_name_is_named_by_its_address():
    plan = read_plan(options(targets=[{"url": "https://[::1]:8001/app/"}]))
    assert plan.targets[0].name == "[::1]:8001/app"
    assert plan.targets[0].url == "https://[::1]:8001/app"


def urls(url: str) -> dict[str, object]:
    return {"targets": [{"url": url}]}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "an empty list means nothing"),
        ({"targets": []}, "an empty list means nothing"),
        (urls("localhost:8001"), "not an http or https address"),
        (urls("8001"), "not an http or https address"),
        (urls("ftp://host/"), "not an http or https address"),
        (urls("http://"), "not an http or https address"),
        (urls("http:///path"), "not an http or https address"),
        (urls("http://host:0"), "not an http or https address"),
        (urls("http://host:99999"), "malformed"),
        (urls("http://host:port"), "malformed"),
        (urls("http://[::1"), "malformed"),
        (urls("http://ho st/"), "spaces"),
        (urls("http://host/\x01"), "spaces, control"),
        (urls("http://me:hunter22@host/"), "http://********@host has a user or password"),
        (urls("http://me@host/"), "has a user or password"),
        (urls("http://host/?token=1"), "query"),
        ({"targets": [TARGET, TARGET]}, "two are named 'a'"),
        ({"targets": [{**TARGET, "usage": {"cpu_seconds": -1}}]}, "usage cpu_seconds"),
        ({"targets": [{**TARGET, "usage": {"memory_bytes": "nan"}}]}, "usage memory_bytes"),
        ({"thresholds": {"api_ms": "nan"}}, "thresholds api_ms: nan is not a number above 0"),
        ({"thresholds": {"api_ms": -5}}, "thresholds api_ms: -5.0 is not a number above 0"),
        ({"thresholds": {"cpu_percent": 0}}, "thresholds cpu_percent"),
        ({"thresholds": {"memory_percent": "inf"}}, "thresholds memory_percent"),
        ({"samples": 0}, "samples: 0 is not between 1 and 1000"),
        ({"samples": 1001}, "samples"),
        ({"timeout_s": 0}, "timeout_s"),
        ({"timeout_s": "nan"}, "timeout_s"),
        ({"interval_s": -1}, "interval_s"),
        ({"wait_s": -1}, "wait_s"),
        ({"history_keep_days": 0}, "history_keep_days"),
        ({"agent": "../other"}, "agent"),
        ({"basic_path": "health"}, "basic_path"),
        ({"detailed_path": "/a b"}, "detailed_path"),
        ({"ca_file": "/no/such/file"}, "No such file"),
        ({"client_cert": "/no/such/file"}, "No such file"),
        ({"client_key": "/dev/null"}, "client_cert is not given"),
        ({"headers": {"Bad Name": "x"}}, "HTTP forbids"),
        ({"headers": {"X-Token": "one\r\nHost: two"}}, "not one line"),
        ({"headers": {"X-Token": ["x"]}}, "not one line"),
        ({"database": {"host": "db", "port": 0}}, "database port"),
        ({"database": {"host": "db/x"}}, "no host name"),
        ({"cache": {"host": "me@cache"}}, "no host name"),
        ({"dependencies": [{"name": "d", "host": "h", "port": 70000}]}, "dependencies port"),
        ({"dependencies": [{"name": "d", "url": "smtp://h"}]}, "not an http or https address"),
        (urls("http://é:80"), "outside ASCII. Write the host name in punycode"),
        (urls("http://me:hunter22é@host/"), "'host/' has spaces"),
        (urls("http://me:hunter22@ho\u2100st/"), "outside ASCII"),
        (urls("http://host/\0"), "targets url: it holds a NUL"),
        ({"basic_path": "/é"}, "no absolute path in ASCII"),
        ({"detailed_path": "/é"}, "no absolute path in ASCII"),
        ({"headers": {"X-Token": "hunter22é"}}, "the value of X-Token is not one line of ASCII"),
        ({"headers": {"X-Token": "hunter22\ud800"}}, "not one line of ASCII"),
        ({"dependencies": [{"name": "d", "host": "é", "port": 80}]}, "in punycode"),
        ({"dependencies": [{"name": "d", "url": "http://é/"}]}, "in punycode"),
        ({"dependencies": [{"name": "d", "url": "http://h/?k=hunter22é"}]}, "'http://h/' has"),
        ({"dependencies": [{"name": "d\ud800", "url": "http://h/"}]}, "not valid Unicode"),
        ({"database": {"host": "é"}}, "in punycode"),
        ({"cache": {"host": "é"}}, "in punycode"),
        ({"database": {"host": "a" * 64}}, "longer than 63"),
        ({"cache": {"host": "a" * 64}}, "longer than 63"),
        ({"cache": {"host": "cache." + "a" * 64 + ".example"}}, "longer than 63"),
        ({"cache": {"host": "cache..example"}}, "empty"),
        ({"cache": {"host": "."}}, "empty"),
    ],
)
def test_bad_input_is_refused_by_name(arguments, words):
    with pytest.raises(OperationError) as caught:
        read_plan(options(**{"targets": [TARGET], **arguments} if arguments else {}))
    assert caught.value.reason is Reason.INVALID_INPUT
    assert words in str(caught.value)
    assert "hunter22" not in str(caught.value)


@pytest.mark.parametrize("character", ["\0", "\ud800"], ids=["NUL", "surrogate"])
@pytest.mark.parametrize(
    "option",
    [
        "ca_file",
        "client_cert",
        "client_key",
        "textfile",
        "state_store",
        *(f"database {name}" for name in ("host", "name", "user", "password", "ca_file")),
        *(f"cache {name}" for name in ("host", "username", "password", "ca_file")),
    ],
)
def test_text_that_no_library_takes_is_refused_and_not_repeated(option, character):
    name, _separator, suboption = option.partition(" ")
    text = f"/hunter22{character}"
    given = {name: {"host": "127.0.0.1", suboption: text} if suboption else text}
    with pytest.raises(OperationError) as caught:
        read_plan(options(targets=[TARGET], **given))
    assert caught.value.reason is Reason.INVALID_INPUT
    assert str(caught.value).startswith(f"Failed to read option {option}: it holds a NUL")
    assert "hunter22" not in str(caught.value)


@pytest.mark.parametrize("option", ["ca_file", "client_cert"])
def test_a_file_name_that_libcurl_cannot_take_is_refused(option, tmp_path):
    file = tmp_path / "é.pem"
    file.touch()
    with pytest.raises(OperationError, match=f"option {option}: .* outside ASCII"):
        read_plan(options(targets=[TARGET], **{option: str(file)}))


def test_a_file_name_that_the_locale_cannot_encode_is_refused(monkeypatch):
    def encode(path: object, mode: str) -> None:
        str(path).encode("ascii")

    monkeypatch.setattr("pathlib.Path.open", encode)
    with pytest.raises(OperationError, match="no file name in this locale") as caught:
        read_plan(options(database={"host": "db", "ca_file": "/é.pem"}))
    assert caught.value.reason is Reason.INVALID_INPUT


def test_a_host_name_may_end_in_a_dot_and_be_an_address():
    for host in ("cache.example.", "127.0.0.1", "::1", "fe80::1%eth0", "a" * 63):
        assert read_plan(options(cache={"host": host})).cache.host == host


def test_a_dependencys_query_is_used_but_not_shown():
    dependency = {"name": "d", "url": "https://api.example/health?key=secret"}
    plan = read_plan(options(dependencies=[dependency]))
    assert plan.dependencies[0].url.endswith("key=secret")
    assert plan.dependencies[0].address == "https://api.example/health"


def test_secrets_are_not_in_the_plans_text():
    plan = read_plan(
        options(
            targets=[TARGET],
            headers={"Authorization": "Bearer hunter22"},
            database={"host": "db", "password": "hunter22"},
            cache={"host": "cache", "password": "hunter22"},
        )
    )
    assert "hunter22" not in repr(plan)


def test_headers_stay_with_the_targets():
    plan = read_plan(options(targets=[TARGET], headers={"X-Token": "t", "X-Number": 5}))
    assert plan.transport.headers == ("X-Token: t", "X-Number: 5")
