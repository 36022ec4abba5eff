# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where backups and shared state live: `s3://bucket/prefix` or `file:///folder`."""

from __future__ import annotations

from .protocol import MAX_PARTS, MIN_PART, NoSuchObject, Reader, Repository, StoredObject, Upload

__all__ = [
    "MAX_PARTS",
    "MIN_PART",
    "NoSuchObject",
    "Reader",
    "Repository",
    "StoredObject",
    "Upload",
]
