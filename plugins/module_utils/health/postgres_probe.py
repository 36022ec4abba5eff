# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Round trips to a PostgreSQL server by psycopg2."""

from __future__ import annotations

import select
from typing import Any

from ..core.deadline import Deadline
from ..core.errors import Reason
from .plan import DatabaseServer
from .round_trips import (
    DirectProbe,
    Sampling,
    TooLate,
    connection_refused,
    login_refused,
    too_late,
)
from .verdict import Finding, Verdict

_AUTH_CLASS = "28"  # SQLSTATE class 28: invalid authorization specification


def ask_database(
    probe: DirectProbe, server: DatabaseServer, sampling: Sampling, psycopg2: Any
) -> None:
    """`SELECT 1` over one connection, in libpq's asynchronous mode.

    A server that freezes after it accepted heeds no statement_timeout, and libpq's own
    connect_timeout knows whole seconds and nothing below 2; so the waiting is done here.
    """
    connection = None
    try:
        connection = psycopg2.connect(
            host=server.host,
            port=server.port,
            dbname=server.name,
            user=server.user,
            password=server.password,
            sslmode=server.sslmode,
            sslrootcert=server.ca_file,
            application_name="optiinfra-cost-agent-health",
            async_=1,
        )

        def connect() -> None:
            _until_ready(connection, psycopg2.extensions, sampling.deadline)

        sampling.connect(probe, connect)
        cursor = connection.cursor()

        def select_one() -> None:
            cursor.execute("SELECT 1")
            _until_ready(connection, psycopg2.extensions, sampling.deadline)
            cursor.fetchone()

        sampling.sample(probe, select_one)
        probe.finding = Finding(Verdict.HEALTHY, "answers SELECT 1")
    except TooLate:
        probe.finding = too_late(probe, sampling.timeout_s)
    except psycopg2.Error as error:
        probe.finding = _failure(error)
    finally:
        if connection is not None:
            connection.close()


def _until_ready(connection: Any, constants: Any, deadline: Deadline) -> None:
    while True:
        state = connection.poll()
        if state == constants.POLL_OK:
            return
        mask = select.POLLIN if state == constants.POLL_READ else select.POLLOUT
        poll = select.poll()
        poll.register(connection.fileno(), mask)
        if not poll.poll(int(deadline.remaining * 1000)):
            raise TooLate


def _failure(error: Any) -> Finding:
    """libpq gives no SQLSTATE for a connection that fails, so its words are read."""
    text = " ".join(str(error).split())
    code = getattr(error, "pgcode", None) or ""
    if code.startswith(_AUTH_CLASS) or any(
        words in text for words in ("authentication failed", "no password supplied", "pg_hba.conf")
    ):
        return login_refused("its user and password, and pg_hba.conf on the server")
    if "Connection refused" in text:
        return connection_refused()
    if "the database system is" in text:  # starting up, shutting down, in recovery mode
        return Finding(
            Verdict.DOWN, f"answers: {_after_fatal(text)}", "Look at its log", Reason.FAILED_STATE
        )
    return Finding(
        Verdict.UNKNOWN,
        f"could not be asked: {_after_fatal(text)}",
        "Check the database option against the server",
        Reason.UNREACHABLE,
    )


def _after_fatal(text: str) -> str:
    return text.rpartition("FATAL: ")[2].strip().rstrip(".")
