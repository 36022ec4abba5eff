# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings and largest tables of a PostgreSQL server, read from its catalogs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..postgres import Server, connect, rows
from .settings_advice import ServerSettings, TableStatistics

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

# In the units of pg_settings; a setting that this version does not have is not among them.
_NAMES = (
    *("max_connections", "shared_buffers", "effective_cache_size", "work_mem"),
    *("hash_mem_multiplier", "max_parallel_workers_per_gather", "autovacuum"),
    *("autovacuum_vacuum_threshold", "autovacuum_vacuum_scale_factor"),
    "autovacuum_vacuum_max_threshold",
)
_SETTINGS = "SELECT name, setting, unit FROM pg_settings WHERE name = ANY(%s)"
# Rows as ANALYZE estimated them; counting them would read the tables.
_TABLES = """
SELECT n.nspname || '.' || c.relname, greatest(c.reltuples, 0)::bigint,
       coalesce(s.n_dead_tup, 0), pg_table_size(c.oid),
       (SELECT option_value FROM pg_options_to_table(c.reloptions)
        WHERE option_name = 'autovacuum_vacuum_scale_factor'),
       (SELECT option_value FROM pg_options_to_table(c.reloptions)
        WHERE option_name = 'autovacuum_vacuum_threshold'),
       coalesce((SELECT option_value FROM pg_options_to_table(c.reloptions)
                 WHERE option_name = 'autovacuum_enabled'), 'on')
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid
WHERE c.relkind IN ('r', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND n.nspname NOT LIKE 'pg_toast%%' AND n.nspname NOT LIKE 'pg_temp%%'
ORDER BY c.relpages DESC, 1
LIMIT %s
"""
_UNITS = {"8kB": 8192, "kB": 1024, "MB": 1024**2, "B": 1}
_OFF = ("off", "false", "no", "0")


def read_settings(
    server: Server, database: str, tables: int
) -> tuple[ServerSettings, list[TableStatistics]]:
    """What the server runs with, and the largest tables of a database. Raises as `connect`."""
    wanted = f"read the settings of {server.address}"
    connection: Connection = connect(server, database, wanted)
    try:
        found = rows(connection, _SETTINGS, [list(_NAMES)], wanted)
        largest = rows(connection, _TABLES, [tables], f"{wanted} for its largest tables")
    finally:
        connection.close()
    return _settings({name: (value, unit) for name, value, unit in found}), [
        _table(row) for row in largest
    ]


def _settings(found: dict[str, tuple[str, str | None]]) -> ServerSettings:
    def size(name: str) -> int:
        value, unit = found[name]
        return int(value) * _UNITS[unit or "B"]

    def text(name: str, default: str) -> str:
        return found.get(name, (default, None))[0]

    most = int(text("autovacuum_vacuum_max_threshold", "-1"))
    return ServerSettings(
        max_connections=int(found["max_connections"][0]),
        shared_buffers=size("shared_buffers"),
        effective_cache_size=size("effective_cache_size"),
        work_mem=size("work_mem"),
        hash_mem_multiplier=float(text("hash_mem_multiplier", "1")),
        parallel_per_gather=int(text("max_parallel_workers_per_gather", "0")),
        autovacuum=text("autovacuum", "on") not in _OFF,
        autovacuum_threshold=int(text("autovacuum_vacuum_threshold", "50")),
        autovacuum_scale_factor=float(text("autovacuum_vacuum_scale_factor", "0.2")),
        autovacuum_max_threshold=most if most >= 0 else None,
    )


def _table(row: Any) -> TableStatistics:
    name, count, dead, size, factor, threshold, enabled = row
    return TableStatistics(
        name=name,
        rows=count,
        dead_rows=dead,
        size=size,
        scale_factor=None if factor is None else float(factor),
        threshold=None if threshold is None else int(threshold),
        is_vacuumed=enabled not in _OFF,
    )
