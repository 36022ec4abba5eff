# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a database has besides its contents, read from a real server and given to another one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.errors import (
    OperationError,
    Reason,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.server.database_properties import (  # noqa: E501
    apply_properties,
    create_database,
    read_properties,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.sets.manifest import (
    DatabaseProperties,
)
from psycopg2 import sql

from demo.stack.stack import Stack
from tests.component.swap_site import SwapSite

COPY = "copy"
# Everything at its default, for the owner of the tests.
PLAIN = DatabaseProperties(
    owner="cost_agent",
    encoding="UTF8",
    collate="C",
    ctype="C",
    locale_provider="c",
    locale="",
    connection_limit=-1,
    comment="",
    settings=[],
    grants=[
        ["", "CONNECT", False],
        ["", "TEMPORARY", False],
        ["cost_agent", "CONNECT", False],
        ["cost_agent", "CREATE", False],
        ["cost_agent", "TEMPORARY", False],
    ],
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwapSite]:
    stack = Stack(tmp_path_factory.mktemp("stack"))
    try:
        site = SwapSite(stack.up(only=["postgres"])["postgres"])
        site.run('CREATE ROLE "O\'Brien ü"')
        yield site
        site.close()
    finally:
        stack.down(purge=True)


@pytest.fixture
def owner(site: SwapSite) -> Iterator[Any]:
    """The owner's connection beside the copy, which is dropped at the end."""
    with site.session("postgres") as connection:
        yield connection
        site.remove(COPY)


@pytest.mark.parametrize(
    "locale",
    [
        {},
        {"encoding": "LATIN1"},
        {"encoding": "SQL_ASCII"},
        {"locale_provider": "b", "locale": "C.UTF-8"},
    ],
)
def test_encoding_and_locale_are_as_they_were(
    site: SwapSite, owner: Any, locale: dict[str, str]
) -> None:
    properties = replace(PLAIN, **locale)
    assert create_database(owner, COPY, properties) == []
    assert read_properties(owner, COPY) == properties


@pytest.mark.parametrize("rules", ["", "&a < b"])
def test_icu_locale_is_as_it_was_or_told(owner: Any, rules: str) -> None:
    properties = replace(PLAIN, locale_provider="i", locale="de", icu_rules=rules)
    try:
        create_database(owner, COPY, properties)
    except OperationError as error:
        assert "ICU is not supported in this build. Use a server" in str(error)  # noqa: PT017
    else:
        assert read_properties(owner, COPY) == properties


def test_everything_else_is_given_and_given_once(site: SwapSite, owner: Any) -> None:
    properties = replace(
        PLAIN,
        connection_limit=9,
        comment='it\'s "100%s" ü',
        settings=[
            ["", "DateStyle=ISO, DMY"],
            ["", 'search_path="$user", "a, ""b", public'],
            ["", "work_mem=5MB"],
            ["cost_agent", "statement_timeout=6000"],
        ],
        grants=[["O'Brien ü", "CONNECT", True], *PLAIN.grants[2:]],
    )
    create_database(owner, COPY, properties)
    assert apply_properties(owner, COPY, properties) == []
    assert read_properties(owner, COPY) == properties
    row = site.ask("SELECT xmin::text FROM pg_database WHERE datname = %s", COPY)
    apply_properties(owner, COPY, properties)
    assert site.ask("SELECT xmin::text FROM pg_database WHERE datname = %s", COPY) == row


def test_what_is_too_much_is_taken_away(owner: Any) -> None:
    much = replace(PLAIN, settings=[["", "jit=off"]], comment="x", connection_limit=3)
    create_database(owner, COPY, PLAIN)
    apply_properties(
        owner, COPY, replace(much, grants=[*PLAIN.grants, ["pg_monitor", "CREATE", True]])
    )
    apply_properties(owner, COPY, PLAIN)
    assert read_properties(owner, COPY) == PLAIN


def test_any_name_is_read(site: SwapSite, owner: Any) -> None:
    for name in ('A "quoted" ü', "100%s", "it's"):
        create_database(owner, name, PLAIN)
        assert read_properties(owner, name) == PLAIN
        site.remove(name)


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"settings": [["", "log_statement=all"]]}, "setting log_statement=all is not carried"),
        ({"settings": [["nobody", "jit=off"]]}, "setting jit=off of role nobody is not carried"),
        ({"settings": [["O'Brien ü", "jit=off"]]}, "role O'Brien ü is not carried over: perm"),
        ({"settings": [["", "no_such=1"]]}, "setting no_such=1 is not carried over"),
        ({"settings": [["", "work_mem=much"]]}, "setting work_mem=much is not carried over"),
        ({"grants": [*PLAIN.grants, ["nobody", "CONNECT", False]]}, "CONNECT for nobody is not"),
    ],
)
def test_what_cannot_be_given_is_a_note(owner: Any, changes: dict[str, Any], note: str) -> None:
    create_database(owner, COPY, PLAIN)
    (found,) = apply_properties(owner, COPY, replace(PLAIN, **changes))
    assert note in found


@pytest.mark.parametrize(
    ("name", "reason"), [("nobody", Reason.PRECONDITION), ("postgres", Reason.AUTH)]
)
def test_owner_that_cannot_be_given_is_an_error(owner: Any, name: str, reason: Reason) -> None:
    create_database(owner, COPY, PLAIN)
    with pytest.raises(OperationError, match=f"Failed to make {name} the owner") as caught:
        apply_properties(owner, COPY, replace(PLAIN, owner=name))
    assert caught.value.reason is reason


def test_superuser_gives_it_to_its_owner(site: SwapSite) -> None:
    with site.session("postgres", site.superuser) as root:
        create_database(root, COPY, PLAIN)
        apply_properties(root, COPY, PLAIN)
        assert read_properties(root, COPY) == PLAIN
    site.remove(COPY)


def test_tablespace_that_is_not_there_is_a_note(owner: Any) -> None:
    (note,) = create_database(owner, COPY, replace(PLAIN, tablespace="fast"))
    assert "fast is not there" in note


@pytest.mark.parametrize(
    ("changes", "next_step"),
    [
        ({"collate": "xx_XX.UTF-8"}, "Install the locale"),
        ({"locale_provider": "b", "locale": "C.UTF-8", "encoding": "LATIN1"}, "Install|encoding"),
    ],
)
def test_locale_that_the_server_lacks_is_told(
    owner: Any, changes: dict[str, str], next_step: str
) -> None:
    with pytest.raises(OperationError, match=next_step) as caught:
        create_database(owner, COPY, replace(PLAIN, **changes))
    assert caught.value.reason is Reason.PRECONDITION


def test_name_that_is_taken_is_told(owner: Any) -> None:
    create_database(owner, COPY, PLAIN)
    with pytest.raises(OperationError, match=r"already exists\. Give another name") as caught:
        create_database(owner, COPY, PLAIN)
    assert caught.value.reason is Reason.PRECONDITION


def test_database_that_is_not_there_is_told(owner: Any) -> None:
    with pytest.raises(OperationError, match="no database of that name") as caught:
        read_properties(owner, "nowhere")
    assert caught.value.reason is Reason.PRECONDITION


def test_tablespace_is_as_it_was(site: SwapSite, owner: Any) -> None:
    folder = site.ask("SHOW data_directory")[0][0]
    site.run("SET allow_in_place_tablespaces = on")
    site.run("CREATE TABLESPACE \"Fast disk\" LOCATION ''")
    site.run('GRANT CREATE ON TABLESPACE "Fast disk" TO cost_agent')
    properties = replace(PLAIN, tablespace="Fast disk")
    assert create_database(owner, COPY, properties) == [], folder
    assert read_properties(owner, COPY) == properties
    site.run(sql.SQL("DROP DATABASE {}").format(sql.Identifier(COPY)))
    site.run('DROP TABLESPACE "Fast disk"')
