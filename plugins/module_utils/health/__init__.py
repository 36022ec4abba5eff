# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Health: probes -> samples -> indicators -> verdict.

Other areas may use the names that are imported here; today none does.
"""
