# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one error that the home shows to a person."""

from demo.stack.errors import StackError


class ClusterError(StackError):
    """Something of the cluster was wanted and could not be had; says what was seen and to do."""
