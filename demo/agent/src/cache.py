"""Redis as a cache that may be away: then every look-up is a miss."""

from __future__ import annotations

import logging

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from src.settings import Settings

log = logging.getLogger("cost_agent.cache")

# What a hanging Redis may cost one request; a healthy one answers in under 1 ms.
_TIMEOUT_S = 0.25


def make_redis(settings: Settings, timeout_s: float = _TIMEOUT_S) -> redis.Redis:
    """A client that connects at first use and never retries."""
    return redis.Redis.from_url(
        settings.redis_url,
        password=settings.redis_password(),
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
    )


class Cache:
    """Texts by key, for a limited time."""

    def __init__(self, client: redis.Redis, ttl_s: int) -> None:
        self._client = client
        self._ttl_s = ttl_s

    def get(self, key: str) -> tuple[str | None, str]:
        """The text or None, and how it went: `hit`, `miss` or `unavailable`."""
        try:
            found = self._client.get(key)
        except redis.RedisError as error:
            log.warning("cache unavailable: %s", error)
            return None, "unavailable"
        return (None, "miss") if found is None else (str(found), "hit")

    def put(self, key: str, text: str) -> None:
        try:
            self._client.set(key, text, ex=self._ttl_s or None)
        except redis.RedisError as error:
            log.warning("cache unavailable: %s", error)
