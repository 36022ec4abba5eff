# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The compose plugin of docker, which Debian 12 has no package of, from Go modules."""

from __future__ import annotations

from pathlib import Path

from tests.cluster.home.build import Program

COMPOSE = Program(
    "docker-compose",
    "github.com/docker/compose/v2/cmd",
    Path(__file__).parents[1] / "go" / "compose",
)
