# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The platforms that the agent runs on: one protocol, and the operations on top of it.

Other areas may use the names that are imported here; today none does. An operation is imported
from its own file by its module and action, which so load nothing of the others.
"""
