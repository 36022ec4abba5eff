# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: operator
type: stdout
short_description: One line per step, tables and a verdict for the person at the terminal
version_added: 0.1.0
author:
  - OptiInfra maintainers (@optiinfra)
description:
  - Draws what the modules of this collection return for a person. Each step is a line with its
    status and summary, followed by the tables that it carries. The last line has the verdict of
    the last health check and the time taken.
  - Tasks of other modules get a line when they changed something, failed or were unreachable,
    and so does C(ansible.builtin.debug). Skipped and unchanged tasks get none.
  - Where several hosts agree, a step is one line.
  - On a terminal, the running step is shown with the time that it takes so far. In files, lines
    are plain ASCII of at most 80 columns where words allow it.
  - With C(-v) and above, all output of the P(ansible.builtin.default#callback) callback comes
    first, and the lines of this one follow it.
  - A failure shows everything in its result that has content, without C(-v) too. Where it has
    tables, they stand for its C(state), which C(-v) shows.
notes:
  - O(display_skipped_hosts), O(check_mode_markers) and, where it exists,
    C(display_included_hosts) count with C(-v) only.
extends_documentation_fragment:
  - default_callback
  - result_format_callback
"""

EXAMPLES = r"""
ansible.cfg: |
  [defaults]
  stdout_callback = optiinfra.cost_agent.operator
"""

import os
import shutil
import sys
import time
from collections.abc import Mapping
from typing import Any

from ansible import constants as C
from ansible.plugins.callback.default import CallbackModule as DefaultCallback
from ansible_collections.optiinfra.cost_agent.plugins.plugin_utils import operator_view as view
from ansible_collections.optiinfra.cost_agent.plugins.plugin_utils.colours import painted
from ansible_collections.optiinfra.cost_agent.plugins.plugin_utils.live_line import LiveLine
from ansible_collections.optiinfra.cost_agent.plugins.plugin_utils.run_tally import RunTally

_FILE_WIDTH = 80
_WIDEST = 120
_NO_TRACEBACK = "(traceback unavailable)"
_FAILURES_IN_WORDS = ("assert", "fail")
_FREE_STRATEGIES = ("free", "host_pinned")
# What the controller does at once, and `pause`, which asks in the place of the running step.
_AT_ONCE = ("add_host", "assert", "debug", "fail", "group_by", "include_role", "include_tasks")
_AT_ONCE += ("include_vars", "meta", "pause", "set_fact", "set_stats", "validate_argument_spec")


class CallbackModule(DefaultCallback):
    """The default callback where asked for more, and a line per step otherwise."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "optiinfra.cost_agent.operator"

    def __init__(self) -> None:
        super().__init__()
        self._terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        self._verbose = self._display.verbosity > 0
        self._live: LiveLine | None = None
        # ansible-runner, and with it AWX, keeps every write to its terminal as an event.
        if self._terminal and not self._verbose and "AWX_ISOLATED_DATA_DIR" not in os.environ:
            self._live = LiveLine(self._display)
        self._began = time.monotonic()
        self._tally = RunTally()
        self._several_hosts = self._lockstep = False
        self._batch = self._done = 0
        self._headed_play = ""
        self._play_hosts: list[str] = []
        self._labels: dict[str, str] = {}
        self._entries: list[view.Entry] = []
        self._entries_of = ""
        self._diffs: dict[tuple[str, str], Any] = {}
        self._drawn_loops: set[tuple[str, str]] = set()

    # The run and its plays

    def v2_playbook_on_play_start(self, play: Any) -> None:
        self._end_step()
        names = play.get_variable_manager().get_vars(play=play)
        self._play_hosts = names["ansible_play_hosts_all"]
        self._several_hosts = len(self._play_hosts) > 1
        self._batch = len(names["ansible_play_batch"])
        self._lockstep = str(play.strategy).rpartition(".")[2] not in _FREE_STRATEGIES
        self._tally.saw_hosts(self._play_hosts)
        self._tally.check_mode = bool(play.check_mode)
        self._play = play
        if self._verbose:
            super().v2_playbook_on_play_start(play)

    def _head(self) -> None:
        """The play's header, once: not before a step that matters, nor again for each batch."""
        if self._play._uuid == self._headed_play:
            return
        self._headed_play = self._play._uuid
        self._tally.operated_on(self._play_hosts)
        if not self._verbose:
            name = self._play.get_name().strip() + (" (check)" if self._tally.check_mode else "")
            self._say(view.header(name, self._operated(), self._width))

    def _operated(self) -> Mapping[str, Any]:
        """The variables of the play's first host, which say what is operated on."""
        if not self._play_hosts:
            return {}
        manager = self._play.get_variable_manager()
        first = manager._inventory.get_host(self._play_hosts[0])
        return dict(manager.get_vars(play=self._play, host=first))

    def v2_playbook_on_no_hosts_matched(self) -> None:
        self._tally.plays_without_hosts += 1
        if self._verbose:
            super().v2_playbook_on_no_hosts_matched()
        else:
            self._head()
            self._say([[("  no host matched", "")]])

    def v2_playbook_on_no_hosts_remaining(self) -> None:
        self._end_step()
        if self._verbose:
            super().v2_playbook_on_no_hosts_remaining()

    def v2_playbook_on_stats(self, stats: Any) -> None:
        self._end_step()
        if self._live:
            self._live.end()
        if self._verbose:
            super().v2_playbook_on_stats(stats)
        elif stats.custom and self.get_option("show_custom_stats"):
            shown = {k: self._dump_results(v, serialize=False) for k, v in stats.custom.items()}
            self._say(view.details(shown, self._width, indent=2))
        outcome = self._tally.outcome(stats, time.monotonic() - self._began)
        self._say(view.closing(outcome, self._width))

    # Steps

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        self._begin_step(task)
        if self._verbose:
            super().v2_playbook_on_task_start(task, is_conditional)

    def v2_playbook_on_handler_task_start(self, task: Any) -> None:
        self._begin_step(task)
        if self._verbose:
            super().v2_playbook_on_handler_task_start(task)

    def v2_playbook_on_include(self, included_file: Any) -> None:
        if self._verbose:
            super().v2_playbook_on_include(included_file)

    def _begin_step(self, task: Any) -> None:
        self._end_step()
        self._done = 0
        # Here the name is templated; in results, core 2.16 has it as it was written.
        label = self._labels[task._uuid] = (task.name or task.action.rpartition(".")[2]).strip()
        if task.action.rpartition(".")[2] in _AT_ONCE:
            return
        self._head()
        if self._live and self._lockstep:
            self._live.show(lambda elapsed: self._running(label, elapsed))

    def _running(self, label: str, elapsed: float) -> str:
        text = f"{elapsed:.0f} s"
        if self._batch > 1:
            text += f", {self._done} of {self._batch} hosts done"
        return view.text_of(view.step(label, "running", text, self._width)[0])

    def _end_step(self) -> None:
        """Draw what was gathered from the hosts of the step that ended."""
        if self._live:
            self._live.hide()
        entries, self._entries = self._entries, []
        if entries:
            self._head()
            entries.sort(key=lambda entry: self._tally.place(entry.host))
            self._say(view.steps(self._entries_of, entries, self._several_hosts, self._width))

    def _take(self, label: str, entry: view.Entry) -> None:
        """Keep an entry until its step ends; draw it now where no other will join it."""
        if self._verbose or not (self._several_hosts and self._lockstep):
            self._draw_now(label, entry)
        else:
            self._entries_of = label
            self._entries.append(entry)

    def _draw_now(self, label: str, entry: view.Entry) -> None:
        self._head()
        self._say(view.steps(label, [entry], self._several_hosts, self._width))

    def _host_done(self) -> None:
        self._done += 1
        if self._live and self._done >= self._batch:
            self._live.hide()

    # Results

    def v2_runner_on_ok(self, result: Any) -> None:
        self._host_done()
        if self._verbose:
            super().v2_runner_on_ok(result)
        values = result._result
        self._handle_warnings(values)
        status, text = self._noted(result)
        if result._task.loop and "results" in values:
            loop = (result._task._uuid, result._host.get_name())
            ours = [r for r in values["results"] if isinstance(r, Mapping) and _is_ours(r)]
            if loop not in self._drawn_loops and ours:
                text = f"{len(ours)} items"
                self._take(self._label(result), view.Entry(loop[1], status, text))
            return
        entry = self._entry(result, status, text)
        if entry:
            self._take(self._label(result), entry)

    def v2_runner_item_on_ok(self, result: Any) -> None:
        if self._verbose:
            super().v2_runner_item_on_ok(result)
        values = result._result
        self._handle_warnings(values)
        status, text = self._noted(result)
        if values.get("changed") or result._task.action in C._ACTION_DEBUG:
            entry = self._entry(result, status, text)
            if entry:
                self._drawn_loops.add((result._task._uuid, result._host.get_name()))
                self._draw_now(self._item(result), entry)

    def v2_runner_on_skipped(self, result: Any) -> None:
        self._host_done()
        if self._verbose:
            super().v2_runner_on_skipped(result)
        self._handle_warnings(result._result)

    def v2_runner_item_on_skipped(self, result: Any) -> None:
        if self._verbose:
            super().v2_runner_item_on_skipped(result)
        self._handle_warnings(result._result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._host_done()
        _censor_exception(result._result)
        looped = bool(result._task.loop) and "results" in result._result
        if self._verbose:
            super().v2_runner_on_failed(result, ignore_errors)
        if looped:  # its items have been drawn
            self._handle_warnings(result._result)
            if ignore_errors:
                self._tally.forgive(result._host.get_name())
                self._say(view.step(self._label(result), "failed", "(ignored)", self._width))
        else:
            self._draw_failure(result, "failed", self._label(result), ignore_errors)

    def v2_runner_item_on_failed(self, result: Any) -> None:
        _censor_exception(result._result)
        if self._verbose:
            super().v2_runner_item_on_failed(result)
        self._draw_failure(result, "failed", self._item(result), ignored=False)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._host_done()
        if self._verbose:
            super().v2_runner_on_unreachable(result)
        ignored = bool(result._task.ignore_unreachable)
        self._draw_failure(result, "unreachable", self._label(result), ignored)

    def v2_on_file_diff(self, result: Any) -> None:
        if self._verbose:
            super().v2_on_file_diff(result)
        elif result._result.get("diff") and result._result.get("changed"):
            # The result itself follows, and its line comes first.
            self._diffs[result._task._uuid, result._host.get_name()] = result._result["diff"]

    def _noted(self, result: Any) -> tuple[str, str]:
        """Remember what the last line will say; returns the status word and the text."""
        values = result._result
        self._tally.note(result._host.get_name(), result._task._uuid, values)
        summary = values.get("summary")
        status = view.verdict_of(values) or ("changed" if values.get("changed") else "ok")
        return status, summary if isinstance(summary, str) else ""

    def _entry(self, result: Any, status: str, text: str) -> view.Entry | None:
        """What a result says at its step, or None where it says nothing."""
        values, host = result._result, result._host.get_name()
        diff = self._diffs.pop((result._task._uuid, host), None)
        ours = _is_ours(values)
        if self._verbose and not ours:  # the default callback has shown it
            return None
        if result._task.action in C._ACTION_DEBUG:
            return self._spoken(result)
        if not ours and not values.get("changed"):
            return None
        if status == "ok" and not self.get_option("display_ok_hosts"):
            return None
        body = [line for t in view.tables_of(values) for line in view.table(t, self._width)]
        if diff:
            body += view.diff_lines(diff, self._width, self._get_diff)
        return view.Entry(host, status, text, body, speaks=bool(diff))

    def _spoken(self, result: Any) -> view.Entry:
        """The entry of a debug task, which exists to be read."""
        values = result._result
        self._clean_results(values, result._task.action)
        values = self._dump_results(values, serialize=False)
        message = values.get("msg")
        short = isinstance(message, str) and "\n" not in message
        body = [] if short else view.details(values, self._width)
        text = message if short else ""
        return view.Entry(result._host.get_name(), "ok", text, body, speaks=True)

    def _draw_failure(self, result: Any, status: str, label: str, ignored: bool) -> None:
        values, host = result._result, result._host.get_name()
        self._handle_warnings(values)
        self._noted(result)
        reason = str(values.get("reason") or "")
        if not ignored:
            self._tally.failed(host, label, values)
        if self._verbose:
            shown_values = {key: values.get(key) for key in ("msg", "tables", "log_tail")}
        else:
            shown_values = self._dump_results(values, serialize=False)
        where = self.host_label(result)
        shown = [where] if self._several_hosts or where != host else []
        shown += [reason] if reason else []
        text = ": ".join(shown) + (" (ignored)" if ignored else "")
        lines = view.step(label, status, text, self._width)
        lines += view.failure(shown_values, self._width)
        path = result._task.get_path()
        if path and not self._verbose:
            path = path.removeprefix(f"{os.getcwd()}/")
            lines += view.paragraph(f"task path: {path}", self._width, 4, hanging=2)
        to_stderr = self.get_option("display_failed_stderr")
        self._head()
        self._say(lines, stderr=to_stderr)
        # Since core 2.19 every failure has an exception; without a traceback it repeats `msg`.
        told = reason or result._task.action.rpartition(".")[2] in _FAILURES_IN_WORDS
        if not (told and values.get("exception") == _NO_TRACEBACK):
            self._handle_exception(values, use_stderr=to_stderr)

    def _label(self, result: Any) -> str:
        return self._labels.get(result._task._uuid) or str(result.task_name)

    def _item(self, result: Any) -> str:
        return f"{self._label(result)} ({self._get_item_label(result._result)})"

    # Output

    @property
    def _width(self) -> int:
        if not self._terminal:
            return _FILE_WIDTH
        return min(shutil.get_terminal_size((_FILE_WIDTH, 24)).columns, _WIDEST)

    def _say(self, lines: list[view.Line], stderr: bool = False) -> None:
        for line in lines:
            text = view.text_of(line)
            shown = painted(line)
            if shown == text:
                self._display.display(text, stderr=stderr)
            else:
                self._display.display(shown, stderr=stderr, screen_only=True)
                self._display.display(text, stderr=stderr, log_only=True)


def _censor_exception(values: dict[str, Any]) -> None:
    """Drop what core 2.19 to 2.21 print in clear for a task with `no_log`: its failure's text."""
    if "censored" in values:
        values.pop("exception", None)


def _is_ours(values: Mapping[str, Any]) -> bool:
    """Whether a result follows the contract of this collection's modules."""
    return isinstance(values.get("summary"), str)
