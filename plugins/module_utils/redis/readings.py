# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads what the checks need of one server, in few round trips and with no command that is slow."""

from __future__ import annotations

from typing import Any

from ..core.clock import Clock
from .checks import Readings, SlowCommand
from .connection import server_failure
from .node import Command, Node
from .topology import Member

SETTINGS = ("maxclients", "save")
# Each of these works through a bounded list on the server, whatever the number of keys.
_SLOW_ENTRIES = 32
_EXTRAS: dict[str, Command] = {
    "slow log": ("SLOWLOG", "GET", _SLOW_ENTRIES),
    "command time": ("LATENCY", "HISTOGRAM"),
    "memory doctor": ("MEMORY DOCTOR",),
    "latency doctor": ("LATENCY DOCTOR",),
}
_COUNTERS = ("evicted_keys", "keyspace_hits", "keyspace_misses", "rejected_connections")


def read_all(
    members: list[Member], window_s: float, pings: int, clock: Clock, purpose: str
) -> list[Readings]:  # fmt: skip
    """The readings of every server; their windows are one and the same."""
    extras = [_extras(each.node, purpose) for each in members]
    latencies = [_latencies(each.node, pings, clock, purpose) for each in members]
    spans: list[tuple[dict[str, Any], float | None]] = [(each.look.info, None) for each in members]
    if window_s:
        clock.sleep(window_s)
        spans = [(_again(each.node, purpose), window_s) for each in members]
    return [
        _readings(member, info, span, extra, latency, clock.now())
        for member, (info, span), extra, latency in zip(members, spans, extras, latencies)
    ]


def _extras(node: Node, purpose: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The answers by check, and what was denied: what was seen and what to do, with `; `."""
    answers = node.answers(purpose, list(_EXTRAS.values()))
    found: dict[str, Any] = {}
    denied: dict[str, str] = {}
    for (name, command), answer in zip(_EXTRAS.items(), answers):
        if isinstance(answer, Exception) and _is_too_old(answer):
            continue
        if isinstance(answer, Exception):
            error = server_failure(purpose, node.server, answer, str(command[0]))
            denied[name] = f"{error.seen.partition(': ')[2]}; {error.next_step}"
        else:
            found[name] = answer
    return found, denied


def _latencies(node: Node, pings: int, clock: Clock, purpose: str) -> tuple[float, ...]:
    """Round trips in ms; that PING is refused, as after a failed snapshot, is an answer too."""
    took = []
    for _number in range(pings):
        started = clock.monotonic()
        node.answers(purpose, [("PING",)])
        took.append((clock.monotonic() - started) * 1000)
    return tuple(took)


def _again(node: Node, purpose: str) -> dict[str, Any]:
    [info] = node.ask(purpose, ("INFO",))
    found: dict[str, Any] = info
    return found


def _readings(
    member: Member,
    info: dict[str, Any],
    window_s: float | None,
    extras: tuple[dict[str, Any], dict[str, str]],
    latencies_ms: tuple[float, ...],
    now: float,
) -> Readings:
    found, denied = extras
    # A server that was restarted in between counts from its start.
    is_same = info.get("run_id") == member.look.run_id
    before = member.look.info if window_s is not None and is_same else {}
    counted = {
        name: max(0.0, float(info.get(name, 0)) - float(before.get(name, 0))) for name in _COUNTERS
    }
    return Readings(
        info=info,
        settings=member.look.settings,
        counted=counted,
        window_s=window_s,
        now=now,
        latencies_ms=latencies_ms,
        command_times=_command_times(found.get("command time", [])),
        slow=tuple(_slow(each) for each in found.get("slow log", ())),
        memory_doctor=str(found.get("memory doctor", "")),
        latency_doctor=str(found.get("latency doctor", "")),
        denied=denied,
    )


def _is_too_old(error: Exception) -> bool:
    """Whether the server's version does not have the subcommand."""
    return "unknown subcommand" in str(error).lower()


def _command_times(answer: list[Any]) -> tuple[tuple[int, int], ...]:
    """How many commands of all kinds took how many microseconds at the most.

    LATENCY HISTOGRAM answers, by command, with counts that include those of the shorter times.
    """
    found: dict[int, int] = {}
    for fields in answer[1::2]:
        counts = dict(zip(fields[::2], fields[1::2])).get("histogram_usec", [])
        before = 0
        for at_most_us, count in zip(counts[::2], counts[1::2]):
            found[int(at_most_us)] = found.get(int(at_most_us), 0) + int(count) - before
            before = int(count)
    return tuple(sorted(found.items()))


def _slow(entry: list[Any]) -> SlowCommand:
    """A row of SLOWLOG GET: id, time, microseconds, the command with its arguments, ...

    Only the command's name is kept: arguments may be secret. Redis Enterprise has a word on the
    complexity before the command.
    """
    words = next(each for each in entry[3:] if isinstance(each, list))
    return SlowCommand(float(entry[1]), float(entry[2]) / 1000, str(words[0]).upper())
