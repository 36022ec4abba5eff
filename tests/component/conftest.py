# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The embedded stack, once per run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from demo.stack.stack import Addresses, Stack


@pytest.fixture(scope="session")
def demo_stack(tmp_path_factory) -> Iterator[Addresses]:
    """The addresses of real PostgreSQL and Redis servers."""
    stack = Stack(tmp_path_factory.mktemp("stack"))
    try:
        yield stack.up(only=["postgres", "redis"])
    finally:
        stack.down(purge=True)
