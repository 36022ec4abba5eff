# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one error that making an image ends with."""


class ImageError(Exception):
    """An image could not be made; the message says what was seen and what to do."""
