# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of contents as pg_dump writes them."""

from __future__ import annotations

from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.sets.toc import (
    TocEntry,
)


def integer(value: int) -> bytes:
    return bytes([value < 0]) + abs(value).to_bytes(4, "little")


def text(value: str | None) -> bytes:
    if value is None:
        return integer(-1)
    encoded = value.encode()
    return integer(len(encoded)) + encoded


def toc(*entries: TocEntry, version: tuple[int, int] = (1, 16)) -> bytes:
    """As WriteHead and WriteToc of pg_backup_archiver.c write it."""
    compression = b"\0" if version >= (1, 15) else integer(0)
    head = b"PGDMP" + bytes([*version, 0, 4, 8, 3]) + compression
    head += b"".join(map(integer, (1, 2, 3, 4, 5, 125, 0)))
    head += text("costs") + text("17.4") + text("17.4")
    return head + integer(len(entries)) + b"".join(written(each, version) for each in entries)


def written(entry: TocEntry, version: tuple[int, int]) -> bytes:
    parts = [integer(entry.dump_id), integer(bool(entry.file)), text("1259"), text("16384")]
    parts += [text(entry.tag), text(entry.kind), integer(entry.section), text(entry.statement)]
    parts += [text(""), text(entry.copy or None), text(entry.schema), text("")]
    if version >= (1, 14):
        parts.append(text("heap"))
    if version >= (1, 16):
        parts.append(integer(ord("r")))
    parts += [text(entry.owner), text("false")]
    parts += [text(str(each)) for each in entry.dependencies]
    return b"".join([*parts, text(None), text(entry.file)])
