# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Health: probes -> samples -> indicators -> verdict."""

from __future__ import annotations

from .observe import HEALTH_INFO
from .verdict import Verdict

__all__ = ["HEALTH_INFO", "Verdict"]
