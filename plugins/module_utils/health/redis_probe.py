# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Round trips to a Redis server by redis-py."""

from __future__ import annotations

from typing import Any

from ..core.errors import Reason
from ..redis import CacheServer, open_client
from .round_trips import DirectProbe, Sampling, connection_refused, login_refused, too_late
from .verdict import Finding, Verdict


def ask_cache(probe: DirectProbe, server: CacheServer, sampling: Sampling, redis: Any) -> None:
    """`PING` over one connection, never retried."""
    client = open_client(server, sampling.timeout_s)
    try:
        sampling.connect(probe, client.ping)
        sampling.sample(probe, client.ping)
        probe.finding = Finding(Verdict.HEALTHY, "answers PING")
    except (redis.exceptions.RedisError, OSError) as error:
        probe.finding = _failure(error, redis.exceptions, probe, sampling.timeout_s)
    finally:
        client.close()


def _failure(error: Any, errors: Any, probe: DirectProbe, timeout_s: float) -> Finding:
    text = " ".join(str(error).split()).rstrip(".")
    if isinstance(error, errors.TimeoutError):
        return too_late(probe, timeout_s)
    if isinstance(error, errors.AuthenticationError) or "NOAUTH" in text or "WRONGPASS" in text:
        return login_refused("its username and password")
    if isinstance(error, errors.BusyLoadingError):
        return Finding(
            Verdict.DOWN, "is still loading its data", "Wait for it", Reason.FAILED_STATE
        )
    if "Connection refused" in text:
        return connection_refused()
    return Finding(
        Verdict.UNKNOWN,
        f"could not be asked: {text}",
        "Check the cache option against the server",
        Reason.UNREACHABLE,
    )
