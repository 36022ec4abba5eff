# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The embedded stack, once per run, and an agent on it, once per module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from demo.stack.stack import Addresses, Stack
from tests.component.agent_site import Site
from tests.component.operations import end_started

# Each takes a minute or two: begun last, it would keep one worker busy when the others are done.
LONGEST = (
    "test_two_ways",
    "test_deploy_playbook",
    "test_playbooks",
    "test_repository_faults",
    "test_backup_playbooks",
    "test_postgres_backup",
    "test_autoscale_playbook",
    "test_tune_playbooks",
    "test_load_playbooks",
    "test_budget_playbooks",
    "test_scale_playbook",
    "test_connection_pool",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        name = item.path.stem
        return LONGEST.index(name) if name in LONGEST else len(LONGEST)

    items.sort(key=place)


@pytest.fixture(autouse=True)
def _ended() -> Iterator[None]:
    yield
    end_started()


@pytest.fixture(scope="session")
def demo_stack(tmp_path_factory) -> Iterator[Addresses]:
    """The addresses of real PostgreSQL and Redis servers."""
    stack = Stack(tmp_path_factory.mktemp("stack"))
    try:
        yield stack.up(only=["postgres", "redis"])
    finally:
        stack.down(purge=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory, demo_stack) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("site"), demo_stack)
    try:
        yield site
    finally:
        site.play("stop", "-e", "cost_agent_stop_grace_s=5")
        site.close()


@pytest.fixture(scope="module")
def deployed(site: Site) -> Site:
    """The site with release 1.4.1 serving."""
    run = site.deploy("1.4.1")
    assert run.code == 0, run.output
    return site
