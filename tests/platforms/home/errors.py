# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one error that the homes show to a person."""

from demo.stack.errors import StackError


class PlatformError(StackError):
    """An engine or a machine was wanted and could not be had; says what was seen and what to do."""
