# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What to probe and how, read from the options once and checked."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from ..core.errors import invalid_option
from ..core.operation import Params
from ..core.redact import MASK
from ..redis import CacheServer
from .curl_sender import Transport
from .indicators import Thresholds
from .verdict import Verdict

if TYPE_CHECKING:
    from ..platforms import ServerAccess

_AGENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
_NOT_IN_URL = re.compile(r"[^\x21-\x7e]")
_NOT_IN_HEADER = re.compile(r"[^\t\x20-\x7e]")
_NOT_IN_TEXT = re.compile(r"[\x00\ud800-\udfff]")  # what C strings and UTF-8 cannot hold
_LONGEST_LABEL = 63  # RFC 1035, section 2.3.4
_MOST_SAMPLES = 1000


@dataclass(frozen=True)
class Target:
    """One replica to probe.

    `usage` holds a platform driver's Usage fields that are known; `not_running` is why its
    platform says that it does not run.
    """

    name: str
    url: str
    usage: dict[str, Any] | None = None
    not_running: str | None = None


@dataclass(frozen=True)
class Dependency:
    """A further server that the agent needs; `address` is safe to show."""

    name: str
    url: str
    address: str
    is_tcp: bool
    critical: bool


@dataclass(frozen=True)
class DatabaseServer:
    """A PostgreSQL server to ask; `sslmode` as libpq has it."""

    host: str
    port: int
    name: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    sslmode: str = "prefer"
    ca_file: str | None = None


@dataclass(frozen=True)
class Plan:
    """A run of health_info, its options valid."""

    agent: str
    targets: tuple[Target, ...]
    basic_path: str
    detailed_path: str
    database: DatabaseServer | None
    cache: CacheServer | None
    dependencies: tuple[Dependency, ...]
    samples: int
    interval_s: float
    transport: Transport = field(repr=False)
    thresholds: Thresholds
    require: Verdict | None
    wait_s: float
    soak_s: float
    state_store: str | None
    history_keep_days: int
    textfile: str | None

    @property
    def pauses_s(self) -> float:
        """How long one target's pauses between samples take together."""
        return self.interval_s * (self.samples - 1)


def read_plan(params: Params) -> Plan:
    """The plan in the options; `invalid_input` names the first fault in them."""
    for option, value in params.items():
        if option != "headers":  # these have a stricter check of their own
            check_text(option, value)
    targets = read_targets(params["targets"])
    dependencies = tuple(_dependency(each) for each in params["dependencies"])
    if not (targets or dependencies or params["database"] or params["cache"]):
        raise invalid_option(
            "targets",
            "nothing was given to probe, and an empty list means nothing",
            "Give targets, database, cache or dependencies; check that the agent has replicas",
        )
    require_between("samples", params["samples"], 1, _MOST_SAMPLES)
    require_between("interval_s", params["interval_s"], 0, 3600)
    require_between("timeout_s", params["timeout_s"], 0.001, 3600)
    require_between("wait_s", params["wait_s"], 0, 86400)
    require_between("soak_s", params["soak_s"], 0, 86400)
    require_between("history_keep_days", params["history_keep_days"], 1, 3650)
    if not _AGENT_NAME.fullmatch(params["agent"]):
        raise invalid_option(
            "agent", f"{params['agent']!r} is no name", "Use letters, digits, . _ -"
        )
    return Plan(
        agent=params["agent"],
        targets=targets,
        basic_path=read_path("basic_path", params["basic_path"]),
        detailed_path=read_path("detailed_path", params["detailed_path"]),
        database=_database(params["database"]),
        cache=_cache(params["cache"]),
        dependencies=dependencies,
        samples=params["samples"],
        interval_s=params["interval_s"],
        transport=read_transport(params),
        thresholds=_thresholds(params["thresholds"]),
        require=Verdict(params["require"]) if params["require"] else None,
        wait_s=params["wait_s"],
        soak_s=params["soak_s"] if params["require"] else 0.0,
        state_store=params["state_store"],
        history_keep_days=params["history_keep_days"],
        textfile=params["textfile"],
    )


def read_targets(options: list[dict[str, Any]]) -> tuple[Target, ...]:
    """The replicas in option `targets`; `invalid_input` for addresses that are none."""
    targets = []
    for option in options:
        parts = _http_url("targets", option["url"])
        if parts.query or parts.fragment:
            raise invalid_option(
                "targets", f"{_shown(parts)} has a query or fragment", "Give the base address only"
            )
        url = option["url"].rstrip("/")
        name = option["name"] or url.partition("://")[2]
        targets.append(Target(name, url, _usage(option["usage"]), option["not_running"]))
    [(twice, times)] = Counter(target.name for target in targets).most_common(1) or [("", 0)]
    if times > 1:
        raise invalid_option("targets", f"two are named {twice!r}", "Give each a name of its own")
    return tuple(targets)


def _usage(option: dict[str, Any] | None) -> dict[str, Any] | None:
    if option is None:
        return None
    for name, value in option.items():
        if value is not None:
            require_between(f"usage {name}", value, 0, math.inf)
    return option


def _dependency(option: dict[str, Any]) -> Dependency:
    name, critical = option["name"], option["critical"]
    if option["url"]:
        parts = _http_url("dependencies", option["url"])
        return Dependency(name, option["url"], _shown(parts), False, critical)
    host, port = option["host"], option["port"]
    _check_host("dependencies", host, port)
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return Dependency(name, f"http://{address}/", address, True, critical)


def _database(option: dict[str, Any] | None) -> DatabaseServer | None:
    if option is None:
        return None
    if not option["host"].startswith("/"):  # a folder of Unix sockets otherwise
        _check_host("database", option["host"], option["port"])
    _check_file("database ca_file", option["ca_file"])
    return DatabaseServer(**option)


def _cache(option: dict[str, Any] | None) -> CacheServer | None:
    if option is None:
        return None
    _check_host("cache", option["host"], option["port"])
    _check_file("cache ca_file", option["ca_file"])
    return CacheServer(**option)


def read_transport(params: Params) -> Transport:
    """How the replicas are asked; `invalid_input` for headers and files that cannot be used."""
    for name in ("ca_file", "client_cert", "client_key"):
        _check_file(name, params[name])
        if params[name] and not params[name].isascii():
            raise invalid_option(
                name, f"{params[name]!r} has characters outside ASCII", "Give the file another name"
            )
    if params["client_key"] and not params["client_cert"]:
        raise invalid_option("client_key", "client_cert is not given", "Give both")
    return Transport(
        timeout_s=params["timeout_s"],
        ca_file=params["ca_file"],
        client_cert=params["client_cert"],
        client_key=params["client_key"],
        validate_certs=params["validate_certs"],
        headers=_headers(params["headers"] or {}),
    )


def let_through(transport: Transport, access: ServerAccess) -> Transport:
    """The same through an API server, which takes the Authorization header for itself."""
    theirs = [line for line in transport.headers if not line.lower().startswith("authorization:")]
    return replace(
        transport,
        ca_file=access.ca_file,
        client_cert=access.client_cert,
        client_key=access.client_key,
        validate_certs=access.validate_certs,
        headers=(*theirs, *access.headers),
    )


def _headers(option: dict[str, Any]) -> tuple[str, ...]:
    """Header lines; values are secrets and never shown."""
    lines = []
    for name, value in option.items():
        if not _HEADER_NAME.fullmatch(name):
            raise invalid_option(
                "headers", "a name has characters that HTTP forbids", "Check the names"
            )
        if not isinstance(value, (str, int)) or _NOT_IN_HEADER.search(str(value)):
            raise invalid_option(
                "headers", f"the value of {name} is not one line of ASCII text", "Check it"
            )
        lines.append(f"{name}: {value}")
    return tuple(lines)


def _thresholds(option: dict[str, float]) -> Thresholds:
    for name, value in option.items():
        if not math.isfinite(value) or value <= 0:
            raise invalid_option(
                f"thresholds {name}", f"{value} is not a number above 0", "Give a positive number"
            )
    return Thresholds(**option)


def _http_url(option: str, url: str) -> SplitResult:
    """The URL's parts; what it may hold of secrets is not repeated in the error."""
    if _NOT_IN_URL.search(url):
        shown = url.partition("?")[0].rpartition("@")[2]
        raise invalid_option(
            option,
            f"{shown!r} has spaces, control characters or characters outside ASCII",
            "Write the host name in punycode, and quote such characters elsewhere as %XX",
        )
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise invalid_option(option, f"a url is malformed: {error}", "Check it") from error
    if parts.username is not None or parts.password is not None:
        raise invalid_option(
            option,
            f"{parts.scheme}://{MASK}@{parts.netloc.rpartition('@')[2]} has a user or password",
            "Give credentials as headers",
        )
    if parts.scheme not in ("http", "https") or not host or port == 0:
        raise invalid_option(
            option,
            f"{_shown(parts) if parts.scheme else url!r} is not an http or https address",
            "Give it as http://host:port",
        )
    return parts


def _shown(parts: SplitResult) -> str:
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def read_path(option: str, path: str) -> str:
    """A path that may follow a target's address; `invalid_input` for another text."""
    if not path.startswith("/") or _NOT_IN_URL.search(path):
        raise invalid_option(
            option,
            f"{path!r} is no absolute path in ASCII",
            "Start it with /, and quote spaces and characters outside ASCII as %XX",
        )
    return path


def _check_host(option: str, host: str, port: int) -> None:
    if _NOT_IN_URL.search(host) or any(each in host for each in "/@?#"):
        raise invalid_option(
            option,
            f"{host!r} is no host name",
            "Give a name, in punycode if it is not ASCII, or an address",
        )
    labels = host.removesuffix(".").split(".")
    if not all(0 < len(label) <= _LONGEST_LABEL for label in labels):
        raise invalid_option(
            option,
            f"{host!r} has a part between dots that is empty or longer than {_LONGEST_LABEL}",
            "Check the name",
        )
    require_between(f"{option} port", port, 1, 65535)


def check_text(option: str, value: object) -> None:
    """Refuse text that no server, library or file name can take; it may be a secret."""
    if isinstance(value, dict):
        for name, part in value.items():
            check_text(f"{option} {name}", part)
    elif isinstance(value, list):
        for part in value:
            check_text(option, part)
    elif isinstance(value, str) and _NOT_IN_TEXT.search(value):
        raise invalid_option(
            option, "it holds a NUL character or is not valid Unicode", "Give it as plain text"
        )


def _check_file(option: str, path: str | None) -> None:
    if path is None:
        return
    try:
        with Path(path).open("rb"):
            pass
    except (OSError, ValueError) as error:  # the latter for a name that the locale cannot encode
        seen = error.strerror if isinstance(error, OSError) else "no file name in this locale"
        raise invalid_option(option, f"{path}: {seen}", "Give a file that can be read") from error


def require_between(option: str, value: float, least: float, most: float) -> None:
    """Raise `invalid_input` for a number outside of these bounds, themselves allowed."""
    if not least <= value <= most:  # also refuses nan
        bounds = f"between {least:g} and {most:g}" if math.isfinite(most) else f"{least:g} or more"
        raise invalid_option(option, f"{value} is not {bounds}", "Give a number in that range")
