"""Settings from the environment, read once at start."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis.connection import parse_url
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError


@dataclass(frozen=True)
class Settings:
    """What the environment says. The database password is read at each new connection."""

    release: str
    log_level: str
    faults_enabled: bool
    database_url: URL
    database_password_file: Path | None
    redis_url: str
    redis_password_file: Path | None
    pool_size: int
    pool_max_overflow: int
    pool_timeout_s: float
    cache_ttl_s: int
    drain_s: float

    def database_connection(self) -> dict[str, Any]:
        """Keyword arguments for `psycopg2.connect`."""
        arguments = self.database_url.translate_connect_args(username="user", database="dbname")
        if self.database_password_file is not None:
            arguments["password"] = self.database_password_file.read_text().strip()
        return {
            "application_name": f"cost-agent {self.release}",
            "connect_timeout": 3,
            **arguments,
            **self.database_url.query,  # sslmode and other words of libpq
        }

    def redis_password(self) -> str | None:
        """Password from the file; None when REDIS_URL is to say it."""
        if self.redis_password_file is None:
            return None
        return self.redis_password_file.read_text().strip()


def _number(environment: Mapping[str, str], name: str, default: float, minimum: float = 0) -> float:
    text = environment.get(name, "").strip()
    if not text:
        return default
    try:
        number = float(text)
    except ValueError:
        raise SystemExit(f"{name}: wanted a number, got {text!r}") from None
    if not minimum <= number < float("inf"):
        raise SystemExit(f"{name}: wanted {minimum:g} or more, got {text!r}")
    return number


def _password_file(environment: Mapping[str, str], name: str) -> Path | None:
    text = environment.get(name, "")
    if not text:
        return None
    try:
        Path(text).read_text()
    except OSError as error:
        raise SystemExit(f"{name}: cannot read {text}: {error.strerror}") from None
    return Path(text)


def _database_url(environment: Mapping[str, str]) -> URL:
    """DATABASE_URL, or the pieces PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE."""
    text = environment.get("DATABASE_URL", "")
    if text:
        try:
            return make_url(text).set(drivername="postgresql+psycopg2")
        except (ArgumentError, ValueError):
            # Not the text itself: it may hold a password.
            raise SystemExit("DATABASE_URL: wanted postgresql://user@host:port/database") from None
    return URL.create(
        "postgresql+psycopg2",
        username=environment.get("PGUSER") or "cost_agent",
        password=environment.get("PGPASSWORD") or None,
        host=environment.get("PGHOST") or "127.0.0.1",
        port=int(_number(environment, "PGPORT", 5432)),
        database=environment.get("PGDATABASE") or "cost_agent",
    )


def _redis_url(environment: Mapping[str, str]) -> str:
    text = environment.get("REDIS_URL") or "redis://127.0.0.1:6379/0"
    try:
        parse_url(text)  # type: ignore[no-untyped-call]
    except ValueError:
        raise SystemExit("REDIS_URL: wanted redis://host:port/number") from None
    return text


def read_settings() -> Settings:
    """Settings of this process; ends it with a message when a value is unusable."""
    environment = os.environ
    return Settings(
        release=environment.get("RELEASE_ID") or "dev",
        log_level=(environment.get("LOG_LEVEL") or "INFO").upper(),
        faults_enabled=environment.get("COST_AGENT_FAULTS") == "1",
        database_url=_database_url(environment),
        database_password_file=_password_file(environment, "DATABASE_PASSWORD_FILE"),
        redis_url=_redis_url(environment),
        redis_password_file=_password_file(environment, "REDIS_PASSWORD_FILE"),
        pool_size=int(_number(environment, "DB_POOL_SIZE", 20, minimum=1)),
        pool_max_overflow=int(_number(environment, "DB_MAX_OVERFLOW", 10, minimum=-1)),
        pool_timeout_s=_number(environment, "DB_POOL_TIMEOUT", 30),
        cache_ttl_s=int(_number(environment, "CACHE_TTL", 60)),
        drain_s=_number(environment, "DRAIN_SECONDS", 0.5),
    )
