# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which roles a dump names, and how missing ones are made."""

from __future__ import annotations

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.restore.restore_roles import (
    roles_in,
    statements_for,
    with_their_groups,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.sets.manifest import (
    DatabaseProperties,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.sets.toc import (
    TocEntry,
)

PROPERTIES = DatabaseProperties("boss", "UTF8", "C", "C", "c", "", -1, "", [], [])


def entry(kind: str, statement: str, owner: str = "") -> TocEntry:
    return TocEntry(1, "t", kind, 2, statement, "public", owner, (), "")


@pytest.mark.parametrize(
    ("kind", "statement", "roles"),
    [
        ("TABLE", "CREATE TABLE t (x text DEFAULT ' TO nobody;');\n", set()),
        ("ACL", "GRANT SELECT ON TABLE public.t TO reader;\n", {"reader"}),
        ("ACL", 'GRANT ALL ON TABLE t TO "Odd ""one""" WITH GRANT OPTION;\n', {'Odd "one"'}),
        ("ACL", "REVOKE ALL ON SCHEMA public FROM PUBLIC;\nGRANT USAGE ON SCHEMA s TO a;\n", {"a"}),
        ("ACL", "GRANT ALL ON TABLE t TO PUBLIC;\n", set()),
        (
            "ACL",
            "SET SESSION AUTHORIZATION grantor;\nGRANT SELECT ON TABLE t TO reader;\n"
            "RESET SESSION AUTHORIZATION;\n",
            {"grantor", "reader"},
        ),
        (
            "DEFAULT ACL",
            "ALTER DEFAULT PRIVILEGES FOR ROLE maker IN SCHEMA s GRANT SELECT ON TABLES TO r;\n",
            {"maker", "r"},
        ),
        (
            "POLICY",
            "CREATE POLICY p ON public.t TO a, \"B b\" USING ((x = 'TO z'));\n",
            {"a", "B b"},
        ),
        ("POLICY", "CREATE POLICY p ON public.t USING (true);\n", set()),
    ],
)
def test_the_roles_of_a_dump_are_found_in_its_statements(kind, statement, roles):
    assert roles_in([entry(kind, statement, owner="me")], PROPERTIES) == roles | {"boss", "me"}


ROLES = '''\
--
-- Roles
--

CREATE ROLE "Odd ""one""";
ALTER ROLE "Odd ""one""" WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB LOGIN;
CREATE ROLE reader;
ALTER ROLE reader WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB NOLOGIN;
ALTER ROLE reader SET work_mem TO '7MB';
CREATE ROLE reader2;
GRANT reader TO "Odd ""one""" WITH INHERIT TRUE GRANTED BY postgres;
GRANT pg_monitor TO reader2 WITH INHERIT TRUE GRANTED BY postgres;
'''


EXISTING = {"postgres", "pg_monitor"}


def test_only_missing_roles_are_made_with_their_memberships():
    assert statements_for(ROLES, ["reader"], {*EXISTING, 'Odd "one"'}) == [
        "CREATE ROLE reader;",
        "ALTER ROLE reader WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB NOLOGIN;",
        "ALTER ROLE reader SET work_mem TO '7MB';",
        'GRANT reader TO "Odd ""one""" WITH INHERIT TRUE;',
    ]
    assert statements_for(ROLES, ["reader2"], EXISTING) == [
        "CREATE ROLE reader2;",
        "GRANT pg_monitor TO reader2 WITH INHERIT TRUE;",
    ]
    assert statements_for(ROLES, [], EXISTING) == []


def test_a_role_comes_with_the_groups_that_it_is_in_but_not_with_its_members():
    assert with_their_groups(ROLES, ['Odd "one"'], EXISTING) == ['Odd "one"', "reader"]
    assert with_their_groups(ROLES, ["reader"], EXISTING) == ["reader"]
    assert with_their_groups(ROLES, ["reader2"], EXISTING) == ["reader2"]
    assert len(statements_for(ROLES, ["reader"], EXISTING)) == 3
