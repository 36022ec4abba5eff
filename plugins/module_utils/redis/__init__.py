# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Redis: its settings changed with foresight, and its own checks.

Inside this package `redis` means the library, which is imported where a connection is opened.
"""

from .connection import CacheServer, open_client

__all__ = ["CacheServer", "open_client"]
