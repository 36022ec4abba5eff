# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine that tests of containers share."""

from __future__ import annotations

import pytest

from tests.platforms.home import OwnEngine


@pytest.fixture(scope="session")
def engine():
    own = OwnEngine()
    own.start()
    yield own
    own.stop()
