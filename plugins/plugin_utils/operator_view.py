# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the operator callback draws: results in, lines of ASCII text out; no I/O, no colour codes.

A line is a list of spans; a span is its text and the word that colours it ("" for none), so the
same line serves a terminal and a file.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Callable

from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.readable import (
    duration_text,
)

Span = tuple[str, str]
Line = list[Span]

# Worst last: the verdict of a run is the worst that any of its hosts ended with.
VERDICTS = ("healthy", "degraded", "unknown", "down")
GOOD = ("ok", "changed", "healthy")

_LABEL_WIDTH = 17
_LONGEST_LABEL = 40
_STATUS_WIDTH = 8
_TEXT_COLUMN = 31
_NARROWEST_TEXT = 24
_NARROWEST_CELL = 12
_LISTED_HOSTS = 8
_GAP, _SMALL_GAP = "   ", "  "
_ESCAPE_SEQUENCE = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|.)")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")
# A number and its unit, and a sum of numbers.
_INSIDE_QUANTITY = re.compile(
    r"(?<=\d) (?=(?:%|ms|s|min|h|[kMGT]?i?B)(?![\w]))|(?<=\d) (?=\+ \d)|(?<=\d \+) (?=\d)"
)
_QUANTITY = re.compile(r"[<>]?[-+]?\d+(\.\d+)?( ?[%A-Za-z/]+)?")


@dataclass(frozen=True)
class Entry:
    """What one host brought to a step. With `speaks`, its text is drawn even among many hosts."""

    host: str
    status: str
    text: str = ""
    body: list[Line] = field(default_factory=list)
    speaks: bool = False


@dataclass(frozen=True)
class Outcome:
    """A finished run; `failures` maps each host that failed to its step and reason."""

    seconds: float
    hosts: int
    plays_without_hosts: int
    failures: Mapping[str, str]
    verdicts: Mapping[str, str]
    changed_steps: int
    rescued: int
    ignored: int
    check_mode: bool


def text_of(line: Line) -> str:
    return "".join(text for text, _word in line)


def plain(text: Any) -> str:
    """Text that is safe on any terminal and in any file: ASCII without control characters."""
    clean = _ESCAPE_SEQUENCE.sub("", str(text)).replace("\r\n", "\n").expandtabs()
    return _CONTROL.sub("", clean).encode("ascii", "backslashreplace").decode("ascii")


def shorten(label: str) -> str:
    """A task's name, on one line and no longer than a line can spare."""
    label = plain(label).replace("\n", " ")
    if len(label) <= _LONGEST_LABEL:
        return label
    return label[: _LONGEST_LABEL - 3].rstrip() + "..."


def _wrap(
    text: str, width: int, first: str = "", others: str = "", break_words: bool = False
) -> list[str]:
    """Lines broken at blanks, never inside a word or a quantity such as `5 ms` or `20 + 10`."""
    wrapped = textwrap.wrap(
        _INSIDE_QUANTITY.sub("\0", text),
        width,
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=break_words,
        break_on_hyphens=False,
    )
    return [line.replace("\0", " ") for line in wrapped]


def paragraph(text: Any, width: int, indent: int, hanging: int = 0) -> list[Line]:
    """Text wrapped at spaces; its own line ends and leading blanks kept, long words unbroken."""
    lines: list[Line] = []
    for source in plain(text).splitlines():
        wrapped = _wrap(source, width, " " * indent, " " * (indent + hanging))
        lines += [[(part, "")] for part in wrapped or [""]]
    return lines


def header(play: str, variables: Mapping[str, Any], width: int) -> list[Line]:
    """The play, and what it operates on where the inventory says so in plain words.

    `Deploy  cost-agent  process, 3 replicas`; a variable that is a template is left out.
    """
    known = {
        name: text
        for name in ("name", "platform", "replicas")
        if (text := str(variables.get(f"cost_agent_{name}", ""))) and "{" not in text
    }
    if "replicas" in known:
        known["replicas"] += " replica" if known["replicas"] == "1" else " replicas"
    size = ", ".join(known[name] for name in ("platform", "replicas") if name in known)
    parts = [play, known.get("name", ""), size]
    return paragraph("  ".join(part for part in parts if part), width, 0, hanging=2)


def step(label: str, status: str, text: str, width: int) -> list[Line]:
    """The line of a step: label, status word, and the text wrapped behind them."""
    label = shorten(label)
    text = plain(text).replace("\n", " ").strip()
    head: Line = [(f"  {label:<{_LABEL_WIDTH}}  ", ""), (status, status)]
    if not text:
        return [head]
    column = max(_TEXT_COLUMN, 2 + max(len(label), _LABEL_WIDTH) + 4 + len(status))
    if width - column < _NARROWEST_TEXT:
        return [head, *paragraph(text, width, _TEXT_COLUMN)]
    gap = " " * (max(_STATUS_WIDTH - len(status), 0) + 2)
    first, *rest = _wrap(text, width - len(head[0][0]) - len(status) - len(gap))
    lines = [[*head, (gap + first, "")]]
    return lines + (paragraph(" ".join(rest), width, _TEXT_COLUMN) if rest else [])


def steps(label: str, entries: Sequence[Entry], several_hosts: bool, width: int) -> list[Line]:
    """A step of all its hosts: one line where they agree, one per status where they do not.

    A status that is not good, and an entry that speaks, keep a line per host.
    """
    groups: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        alone = entry.speaks or entry.status not in GOOD
        groups.setdefault((entry.status, entry.host if alone else ""), []).append(entry)
    lines: list[Line] = []
    for (status, _alone), group in groups.items():
        text = group[0].text if all(e.text == group[0].text for e in group) else ""
        if several_hosts:
            whole = len(groups) == 1 and len(group) > 1
            hosts = f"{len(group)} hosts" if whole else _listed([e.host for e in group])
            text = f"{hosts}: {text}" if text else hosts
        lines += step("" if lines else label, status, text, width)
        if all(e.body == group[0].body for e in group):
            lines += group[0].body
    return lines


def is_table(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and isinstance(value.get("columns"), list)
        and isinstance(value.get("rows"), list)
        and all(isinstance(row, list) for row in value["rows"])
    )


def tables_of(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The tables that a result carries; none unless all have the contract's shape."""
    found = result.get("tables")
    return found if isinstance(found, list) and all(map(is_table, found)) else []


def table(content: Mapping[str, Any], width: int, indent: int = 4) -> list[Line]:
    """A table: quantities to the right, verdicts coloured, wide columns wrapped to fit."""
    columns = [plain(name) for name in content["columns"]]
    rows = [[plain(cell) for cell in row] for row in content["rows"]]
    count = max([len(columns), *map(len, rows)])
    rows = [row + [""] * (count - len(row)) for row in [columns, *rows]]
    cells = [[row[i] for row in rows] for i in range(count)]
    words = [max(map(_longest_word, column)) for column in cells]
    gap = _GAP if indent + sum(words) + len(_GAP) * (count - 1) <= width else _SMALL_GAP
    widths = _fitted(cells, words, width - indent - len(gap) * (count - 1))
    right = [_is_quantities(column[1:]) for column in cells]
    return [line for row in rows for line in _table_row(row, widths, right, " " * indent, gap)]


def _fitted(columns: list[list[str]], words: list[int], room: int) -> list[int]:
    """Widths that fit: running text gives way first, then all down to their longest words.

    Only where that is not enough is a word broken, such as an id.
    """
    widths = [max(map(len, column)) for column in columns]
    running = [max(word, _NARROWEST_CELL) for word in words]
    for least in (running, words, [_NARROWEST_CELL] * len(columns)):
        wide = [i for i, width in enumerate(widths) if width > least[i]]
        while wide and sum(widths) > room:
            widths[max(wide, key=lambda i: widths[i])] -= 1
            wide = [i for i in wide if widths[i] > least[i]]
    return widths


def _longest_word(cell: str) -> int:
    return max(map(len, _INSIDE_QUANTITY.sub("\0", cell).split(" ")))


def _table_row(
    row: list[str], widths: list[int], right: list[bool], indent: str, gap: str
) -> list[Line]:
    cells = [_wrap(cell, max(width, 1), break_words=True) for cell, width in zip(row, widths)]
    lines = []
    for depth in range(max(1, *map(len, cells)) if cells else 0):
        line: Line = [(indent, "")]
        for i, cell in enumerate(cells):
            text = cell[depth] if depth < len(cell) else ""
            padded = text.rjust(widths[i]) if right[i] else text.ljust(widths[i])
            line += [(gap if i else "", ""), (padded, text if text in VERDICTS else "")]
        lines.append(_without_trailing_blanks(line))
    return lines


def _without_trailing_blanks(line: Line) -> Line:
    while line and not line[-1][0].strip():
        line = line[:-1]
    return [*line[:-1], (line[-1][0].rstrip(), line[-1][1])] if line else []


def _is_quantities(cells: list[str]) -> bool:
    filled = [cell for cell in cells if cell not in ("", "-")]
    return bool(filled) and all(_QUANTITY.fullmatch(cell) for cell in filled)


def details(values: Mapping[str, Any], width: int, indent: int = 4) -> list[Line]:
    """Whatever else a result holds, one key after another; keys without content are left out."""
    lines: list[Line] = []
    for key, value in sorted(values.items()):
        told_already = str(key).endswith("_lines") and str(key)[: -len("_lines")] in values
        if told_already or value in (None, "", [], {}):
            continue
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            value = "\n".join(value)
        elif not isinstance(value, str):
            value = json.dumps(value, default=str)
        name = str(key).replace("_", " ") if key == "log_tail" else str(key)
        if "\n" in value:
            lines += [[(f"{' ' * indent}{name}:", "")], *paragraph(value, width, indent + 2)]
        else:
            lines += paragraph(f"{name}: {value}", width, indent, hanging=2)
    return lines


def failure(result: Mapping[str, Any], width: int) -> list[Line]:
    """The body of a failed step: message, tables, log tail, then all the rest of the result.

    Tables say for a person what `state` and `summary` say for a playbook.
    """
    drawn = {"msg", "log_tail", "reason"}
    if tables_of(result):
        drawn |= {"tables", "state", "summary", "duration"}
    if result.get("reason"):
        drawn.add("failed_when_result")  # which repeats that it failed
    lines = paragraph(result["msg"], width, 4) if isinstance(result.get("msg"), str) else []
    for content in tables_of(result):
        lines += table(content, width)
    lines += details({"log_tail": result.get("log_tail")}, width)
    if not isinstance(result.get("msg"), str):
        drawn.discard("msg")
    if not result.get("changed"):
        drawn.add("changed")
    return lines + details({k: v for k, v in result.items() if k not in drawn}, width)


def diff_lines(diff: Any, width: int, unified: Callable[[Any], str]) -> list[Line]:
    """Ansible's `diff`: `path: old -> new` for observations, what `unified` makes of texts.

    A unified diff is neither wrapped nor shortened, so that it can be copied.
    """
    lines: list[Line] = []
    for part in diff if isinstance(diff, list) else [diff]:
        before, after = part.get("before"), part.get("after")
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            for change in _changes_below("", before, after):
                lines += paragraph(change, width, 4, hanging=2)
        else:
            for text in plain(unified(part)).rstrip().splitlines():
                lines.append([(f"    {text}".rstrip(), text[:1] if text[:1] in "+-@" else "")])
    return lines


def _changes_below(path: str, before: Any, after: Any) -> list[str]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        lines = []
        for key in sorted({*before, *after}, key=str):
            inner = f"{path}.{key}" if path else str(key)
            lines += _changes_below(inner, before.get(key), after.get(key))
        return lines
    return [] if before == after else [f"{path}: {_value(before)} -> {_value(after)}"]


def _value(value: Any) -> str:
    if value is None:
        return "(none)"
    return value if isinstance(value, str) and value else json.dumps(value, default=str)


def verdict_of(result: Mapping[str, Any]) -> str | None:
    """The health verdict in a result's state, or None."""
    state = result.get("state")
    verdict = state.get("verdict") if isinstance(state, Mapping) else None
    return verdict if verdict in VERDICTS else None


def closing(outcome: Outcome, width: int) -> list[Line]:
    """The last line: how the run ended and how long it took."""
    if not outcome.hosts:
        return [[("no host matched: nothing was done", "failed")]]
    verdict = max(outcome.verdicts.values(), key=VERDICTS.index, default="")
    word, text = verdict or "done", f" in {duration_text(outcome.seconds)}"
    if outcome.failures:
        word = "failed"
        if outcome.hosts > 1:
            text += f" on {_listed(sorted(outcome.failures))}"
            text += f" ({len(outcome.failures)} of {outcome.hosts} hosts)"
        text += f", last health {verdict}" if verdict else ""
    elif not verdict:
        text += f", {_changes(outcome)}"
    if outcome.rescued:
        text += f", {_counted(outcome.rescued, 'failure')} rescued"
    if outcome.ignored:
        text += f", {_counted(outcome.ignored, 'failure')} ignored"
    if outcome.plays_without_hosts:
        text += f", {_counted(outcome.plays_without_hosts, 'play')} matched no host"
    text += " (check)" if outcome.check_mode else ""
    if outcome.failures:
        text += f": {', '.join(dict.fromkeys(outcome.failures.values()))}"
    first, *rest = [line[0][0] for line in paragraph(word + text, width, 0, hanging=2)]
    colour = word if word != "done" else "ok"
    return [[(first[: len(word)], colour), (first[len(word) :], "")]] + [[(r, "")] for r in rest]


def _changes(outcome: Outcome) -> str:
    if not outcome.changed_steps:
        return "nothing changed" if not outcome.check_mode else "nothing would change"
    verb = "would change" if outcome.check_mode else "changed"
    return f"{_counted(outcome.changed_steps, 'step')} {verb}"


def _listed(hosts: list[str]) -> str:
    more = len(hosts) - _LISTED_HOSTS
    return ", ".join(hosts[:_LISTED_HOSTS]) + (f" and {more} more" if more > 0 else "")


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
