# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How to reach a Redis server: options, a client, and what its errors mean."""

from __future__ import annotations

import os
import re
import socket
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..core.errors import OperationError, Reason, invalid_option
from ..core.operation import Params
from ..core.password_file import given_password

if TYPE_CHECKING:
    import redis

_ADDRESS = re.compile(r"(?:\[(?P<v6>[^\]]+)\]|(?P<host>[^:]+))(?::(?P<port>\d+))?\Z")
_SENTINEL_PORT = 26379
_AT_THE_DOOR_S = 0.5
# What redis-py says of a connection that was closed before it had an answer.
_CUT_OFF = ("reset", "Broken pipe", "closed", "not ready")
_COMMAND = re.compile(r"'(?P<command>[a-z|]+)' command")


def server_arguments() -> dict[str, dict[str, Any]]:
    """How to reach the servers; documented in doc_fragments/redis.py."""
    return {
        "host": {"type": "str"},
        "port": {"type": "int", "default": 6379},
        "username": {"type": "str"},
        "password": {"type": "str", "no_log": True},
        "password_file": {"type": "path", "no_log": False},
        "tls": {"type": "bool", "default": False},
        "validate_certs": {"type": "bool", "default": True},
        "ca_file": {"type": "path"},
        "client_cert": {"type": "path"},
        "client_key": {"type": "path"},
        "sentinel": {
            "type": "dict",
            "options": {
                "hosts": {"type": "list", "elements": "str", "required": True},
                "service": {"type": "str", "default": "mymaster"},
                "username": {"type": "str"},
                "password": {"type": "str", "no_log": True},
                "password_file": {"type": "path", "no_log": False},
            },
        },
        "scope": {"type": "str", "choices": ["all", "server"], "default": "all"},
        "timeout_s": {"type": "float", "default": 10.0},
    }


SERVER_RULES: dict[str, Any] = {
    "mutually_exclusive": [("host", "sentinel")],
    "required_by": {"client_key": ("client_cert",)},
}


@dataclass(frozen=True)
class CacheServer:
    """A Redis server, and how to log in to it."""

    host: str
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    ca_file: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    validate_certs: bool = True

    @property
    def address(self) -> str:
        """`host:port`, for messages."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def at(self, host: str, port: int) -> CacheServer:
        """Another server with the same login."""
        return replace(self, host=host, port=port)


@dataclass(frozen=True)
class Sentinels:
    """Sentinels that know where a service's primary is."""

    servers: tuple[CacheServer, ...]
    service: str


def read_server(params: Params) -> CacheServer:
    """The server in the options; with `sentinel`, only how to log in to it. `invalid_input`."""
    _check_timeout(params["timeout_s"])
    _check_port("port", params["port"])
    return CacheServer(
        params["host"] or "127.0.0.1",
        params["port"],
        params["username"],
        given_password(params),
        **_tls(params),
    )


def read_sentinels(params: Params) -> Sentinels | None:
    """The sentinels in the options; they are spoken to over TLS where the servers are."""
    option = params["sentinel"]
    if option is None:
        return None
    if not option["hosts"]:
        raise invalid_option(
            "sentinel.hosts", "an empty list means nothing", "Give HOST or HOST:PORT of each"
        )
    servers = []
    for text in option["hosts"]:
        match = _ADDRESS.match(text)
        if not match:
            raise invalid_option("sentinel.hosts", f"{text!r} is no address", "Give HOST:PORT")
        port = int(match["port"] or _SENTINEL_PORT)
        _check_port("sentinel.hosts", port)
        login = option["username"], given_password(option)
        servers.append(CacheServer(match["v6"] or match["host"], port, *login, **_tls(params)))
    return Sentinels(tuple(servers), option["service"])


def _tls(params: Params) -> dict[str, Any]:
    files = ("ca_file", "client_cert", "client_key")
    for name in files:
        if params[name] and not os.access(params[name], os.R_OK):
            raise invalid_option(
                name, f"{params[name]} cannot be read", "Give a file that this user can read"
            )
    return {name: params[name] for name in ("tls", "validate_certs", *files)}


def _check_port(option: str, port: int) -> None:
    if not 1 <= port <= 65535:
        raise invalid_option(option, f"{port} is no port", "Give 1 to 65535")


def _check_timeout(seconds: float) -> None:
    if not 0.1 <= seconds <= 3600:
        raise invalid_option("timeout_s", f"{seconds:g} is too few or too many", "Give 0.1 to 3600")


def open_client(server: CacheServer, timeout_s: float) -> redis.Redis:
    """A client with one connection, made at its first command; nothing is retried.

    Raises `missing_library`. Bytes that are no UTF-8 survive in keys.
    """
    try:
        import redis
        import redis.backoff
        import redis.retry
    except ImportError as error:
        raise OperationError(
            Reason.MISSING_LIBRARY,
            "talk to Redis",
            "the Python library redis is not installed for this interpreter",
            "Install redis where this runs",
        ) from error
    tls: dict[str, Any] = {}
    if server.tls:
        tls = {
            "ssl_ca_certs": server.ca_file,
            "ssl_certfile": server.client_cert,
            "ssl_keyfile": server.client_key,
            "ssl_cert_reqs": "required" if server.validate_certs else "none",
            "ssl_check_hostname": server.validate_certs,
        }
    # Before 5.0, as Debian 12 has it, redis-py speaks RESP2 and has no option for it.
    has_protocol = int(redis.__version__.partition(".")[0]) >= 5
    protocol: dict[str, Any] = {"protocol": 2} if has_protocol else {}
    return redis.Redis(
        host=server.host,
        port=server.port,
        username=server.username,
        password=server.password,
        ssl=server.tls,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=redis.retry.Retry(redis.backoff.NoBackoff(), 0),
        max_connections=1,
        decode_responses=True,
        encoding_errors="surrogateescape",
        **tls,
        **protocol,
    )


def is_missing_right(error: Any) -> bool:
    """Whether the ACL keeps this user from a command; redis-py may take the word NOPERM away."""
    return type(error).__name__ == "NoPermissionError" or str(error).startswith("NOPERM")


def is_missing_command(error: Any) -> bool:
    """Whether the server does not have the command, or has it under another name."""
    return str(error).lower().startswith(("unknown command", "err unknown command"))


def server_failure(
    purpose: str, server: CacheServer, error: Any, command: str = ""
) -> OperationError:
    """The error for what redis-py raised or a server answered; `purpose` follows "Failed to"."""
    words = _told_at_the_door(error, server) or " ".join(str(error).split()).rstrip(".")
    if is_missing_right(error):
        reason, seen, next_step = _missing_right(words, server, command)
    elif is_missing_command(error):
        reason, seen, next_step = _missing_command(command)
    else:
        reason, seen, next_step = _meaning(words, type(error).__name__, server)
    return OperationError(reason, purpose, f"{server.address}: {seen}", next_step)


def _told_at_the_door(error: Any, server: CacheServer) -> str:
    """What a server says when it accepts a connection only to close it.

    It does so in protected mode and beyond maxclients. redis-py writes first, and reads nothing
    any more once that has failed.
    """
    if server.tls or not any(sign in str(error) for sign in _CUT_OFF):
        return ""
    try:
        with socket.create_connection((server.host, server.port), _AT_THE_DOOR_S) as door:
            door.settimeout(_AT_THE_DOOR_S)
            return " ".join(door.recv(4096).decode(errors="replace").lstrip("-").split())
    except OSError:
        return ""


_Meaning = tuple[Reason, str, str]


def _missing_right(words: str, server: CacheServer, command: str) -> _Meaning:
    match = _COMMAND.search(words)
    right = match["command"] if match else command.lower().replace(" ", "|")
    user = server.username or "default"
    seen = f"user {user} may not run {right.replace('|', ' ').upper()}"
    return Reason.AUTH, seen, f"Grant it: ACL SETUSER {user} +{right}"


def _missing_command(command: str) -> _Meaning:
    return (
        Reason.PRECONDITION,
        f"it has no {command.partition(' ')[0]}: disabled or renamed, as managed services do",
        "Change the settings in the provider's parameter group or console (Amazon's parameter "
        "group, Azure's advanced settings, Google's instance configuration), or in the server's "
        "own configuration file",
    )


def _meaning(words: str, kind: str, server: CacheServer) -> _Meaning:
    if "protected mode" in words:
        return (
            Reason.AUTH,
            "it is in protected mode: without a password it serves only its own machine",
            "Give the server a password (requirepass or an ACL user), or run this there",
        )
    if kind.startswith("Authentication") or "NOAUTH" in words or "WRONGPASS" in words:
        seen = (
            "it wants a password"
            if server.password is None
            else f"it refuses user {server.username or 'default'}"
        )
        return Reason.AUTH, seen, "Check username, password or password_file"
    if kind == "TimeoutError" or "timed out" in words.lower():
        return Reason.TIMEOUT, "it does not answer in time", "Look at it, or raise timeout_s"
    if kind == "BusyLoadingError" or words.startswith("LOADING"):
        return Reason.FAILED_STATE, "it is still loading its data", "Wait for it, then run again"
    if "certificate verify failed" in words or "CERTIFICATE_VERIFY_FAILED" in words:
        return (
            Reason.AUTH,
            f"its certificate is not trusted: {words}",
            "Give the issuer in ca_file, and the name in the certificate as host",
        )
    if "max number of clients" in words:
        return Reason.UNREACHABLE, "it has as many clients as maxclients allows", "Raise it there"
    if kind == "ConnectionError":
        return Reason.UNREACHABLE, words, "Check host, port and tls, and that the server runs"
    return Reason.FAILED_STATE, words, "Look at the server's log, then run this again"
