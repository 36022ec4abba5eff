# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Health reports as services write them, read into one form.

Understood: the guide's agent (`status`, `components` with `latency_ms`), status words and
booleans, maps and lists of dependencies under the usual keys (also nested, as Spring Boot
Actuator nests them), and `application/health+json` (draft-inadarei-api-health-check-06).
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .verdict import Verdict, worst

DATABASE = "database"
CACHE = "cache"

_WORDS = {
    Verdict.HEALTHY: "ok okay healthy up pass passed passing success available online alive "
    "connected ready running serving operational green true",
    Verdict.DEGRADED: "degraded warn warning partial impaired limited slow yellow",
    Verdict.DOWN: "down fail failed failing failure error unhealthy critical out_of_service dead "
    "offline unavailable disconnected not_ready not_serving broken fatal red false",
}
_VERDICTS = {word: verdict for verdict, words in _WORDS.items() for word in words.split()}
_STATUS_KEYS = ("status", "state", "health", "healthy", "ok")
_MAPS = ("components", "checks", "dependencies", "services", "entries", "details", "info", "error")
_NESTED = ("details", "data")
_MESSAGES = ("error", "message", "output", "detail")
_RELEASES = ("release", "release_id", "releaseId", "version")
_LONGEST_MESSAGE = 200

_DATABASE_NAME = re.compile(r"database|postgres|datasource|(^|[^a-z])(db|pg|sql)([^a-z]|$)", re.I)
_CACHE_NAME = re.compile(r"cache|redis|valkey", re.I)
_LATENCY_NAME = re.compile(
    r"^(latency|response_?time|duration|elapsed|ping|rtt|round_?trip)(_?time)?"
    r"(_?(ms|millis|milliseconds|s|seconds|us|ns))?$",
    re.I,
)
_QUANTITY = re.compile(r"^([0-9]*\.?[0-9]+(?:e-?[0-9]+)?)\s*(ns|us|µs|ms|s)$", re.I)
_MS = {
    **dict.fromkeys(("ms", "millis", "msec", "millisecond", "milliseconds"), 1.0),
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1000.0),
    **dict.fromkeys(("us", "µs", "microsecond", "microseconds"), 0.001),
    **dict.fromkeys(("ns", "nanosecond", "nanoseconds"), 0.000001),
}


@dataclass(frozen=True)
class Component:
    """One dependency as the agent sees it; `kind` is `database`, `cache` or None.

    `verdict` is None where the report gives only a latency.
    """

    name: str
    verdict: Verdict | None
    word: str = ""
    latency_ms: float | None = None
    message: str = ""

    @property
    def kind(self) -> str | None:
        return _kind(self.name)


@dataclass(frozen=True)
class HealthReport:
    """What a service says of itself; `verdict` is None where it uses no status word."""

    verdict: Verdict | None
    word: str = ""
    components: tuple[Component, ...] = ()
    release: str | None = None


def read_report(text: bytes) -> HealthReport:
    """The report in a JSON or one-word body; `ValueError` with the fault when it is neither."""
    try:
        value = _JSON.decode(text.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        word = text.strip()[:32].decode("ascii", "replace")
        if _is_known(word):
            return HealthReport(verdict_of(word), word)
        if text.lstrip()[:1] == b"<":
            raise ValueError("a page of HTML or XML") from error
        raise ValueError("neither JSON nor a status word") from error
    if isinstance(value, dict):
        return _report(value)
    if isinstance(value, (str, bool)):
        return HealthReport(verdict_of(value), str(value))
    raise ValueError("JSON, but not an object")


def verdict_of(value: Any) -> Verdict | None:
    """The verdict in a status word or boolean; None for a value of another type."""
    if isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        return None
    return _known(value) or Verdict.UNKNOWN


# The same few names and words come in thousands of reports: reading each once halves the work.


@functools.lru_cache(maxsize=1024)
def _known(word: str) -> Verdict | None:
    return _VERDICTS.get(re.sub(r"[\s-]+", "_", word.strip().lower()))


def _is_known(value: object) -> bool:
    return isinstance(value, str) and _known(value) is not None


@functools.lru_cache(maxsize=1024)
def _kind(name: str) -> str | None:
    if _DATABASE_NAME.search(name):
        return DATABASE
    return CACHE if _CACHE_NAME.search(name) else None


@functools.lru_cache(maxsize=1024)
def _latency_unit(name: str) -> str | None:
    """The unit in a latency's name, empty where it names none; None for other names."""
    named = _LATENCY_NAME.match(name)
    return (named.group(4) or "").lower() if named else None


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


_JSON = json.JSONDecoder(parse_constant=_refuse_constant)


def _report(body: dict[str, Any]) -> HealthReport:
    verdict, word = _status(body)
    release = next((body[k] for k in _RELEASES if isinstance(body.get(k), str)), None)
    return HealthReport(verdict, word, tuple(_merged(_components(body))), release)


def _status(value: dict[str, Any]) -> tuple[Verdict | None, str]:
    for key in _STATUS_KEYS:
        found = verdict_of(value[key]) if key in value else None
        if found is not None:
            return found, str(value[key])[:_LONGEST_MESSAGE]
    return None, ""


def _components(body: dict[str, Any]) -> Iterator[Component]:
    for key, value in body.items():
        if key in _MAPS:
            yield from _members(value)
        elif key not in _STATUS_KEYS and _kind(key):
            # A flat report: {"status": "ok", "database": "connected"}.
            yield from _member(key, value)


def _members(value: Any) -> Iterator[Component]:
    if isinstance(value, dict):
        for name, member in value.items():
            yield from _member(name, member)
    elif isinstance(value, list):  # MicroProfile Health: [{"name": ..., "status": ...}]
        for member in value:
            if isinstance(member, dict) and isinstance(member.get("name"), str):
                yield from _member(member["name"], member)


def _member(name: str, value: Any) -> Iterator[Component]:
    if isinstance(value, list):
        yield from _measurements(name, value)
    elif isinstance(value, dict):
        yield from _described(name, value)
    elif isinstance(value, bool) or _is_known(value):
        yield Component(name, verdict_of(value), str(value))


def _described(name: str, value: dict[str, Any]) -> Iterator[Component]:
    verdict, word = _status(value)
    latency = _latency(value)
    if verdict is not None or latency is not None:
        message = next((value[k] for k in _MESSAGES if isinstance(value.get(k), str)), "")
        yield Component(name, verdict, word, latency, message[:_LONGEST_MESSAGE])
    for key in _MAPS:
        if key in value:
            yield from _members(value[key])


def _measurements(name: str, values: list[Any]) -> Iterator[Component]:
    """draft-inadarei, section 4: "component:measurement" -> a list of observations."""
    component, _colon, measurement = name.partition(":")
    for value in values:
        if not isinstance(value, dict):
            continue
        verdict, word = _status(value)
        latency = None
        if _latency_unit(measurement) is not None:
            latency = _in_ms(value.get("observedValue"), str(value.get("observedUnit", "")))
        if verdict is not None or latency is not None:
            message = value.get("output")
            message = message[:_LONGEST_MESSAGE] if isinstance(message, str) else ""
            yield Component(component, verdict, word, latency, message)


def _latency(value: dict[str, Any]) -> float | None:
    """Milliseconds, taken only where the key or the text names its unit."""
    for key, quantity in value.items():
        unit = _latency_unit(key)
        latency = None if unit is None else _in_ms(quantity, unit)
        if latency is not None:
            return latency
    nested = (value[key] for key in _NESTED if isinstance(value.get(key), dict))
    return next((found for found in map(_latency, nested) if found is not None), None)


def _in_ms(quantity: Any, unit: str) -> float | None:
    if isinstance(quantity, str):
        text = _QUANTITY.match(quantity.strip())
        if text is None:
            return None
        quantity, unit = float(text.group(1)), text.group(2).lower()
    if isinstance(quantity, bool) or not isinstance(quantity, (int, float)):
        return None
    factor = _MS.get(unit.lower())
    if factor is None or not math.isfinite(quantity) or quantity < 0:
        return None
    return quantity * factor


def _merged(components: Iterator[Component]) -> Iterator[Component]:
    """One component a name: its worst verdict, its slowest latency."""
    by_name: dict[str, list[Component]] = {}
    for component in components:
        by_name.setdefault(component.name, []).append(component)
    for name, parts in by_name.items():
        if len(parts) == 1:
            yield parts[0]
            continue
        verdicts = [part.verdict for part in parts if part.verdict is not None]
        verdict = worst(verdicts) if verdicts else None
        told = next((p for p in parts if p.verdict is verdict), parts[0])
        latencies = [part.latency_ms for part in parts if part.latency_ms is not None]
        slowest = max(latencies) if latencies else None
        yield Component(name, verdict, told.word, slowest, told.message)
