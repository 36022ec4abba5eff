# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all tiers share: which tests need root, and what was not tested, told as soon as it is known."""

from __future__ import annotations

import os
from collections import Counter

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.geteuid() == 0:
        return
    for item in items:
        for marker in item.iter_markers("root"):
            [why] = marker.args
            item.add_marker(pytest.mark.skip(f"needs root: {why}"))


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # the one process that prints
        config.pluginmanager.register(NotTested(config))


class NotTested:
    """Prints each reason of a skip at its first test, and how many there were at the end."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._skipped: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not report.skipped or hasattr(report, "wasxfail"):
            return
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reason = reason.removeprefix("Skipped: ")
        if reason not in self._skipped:
            self._write(f"\nnot tested: {reason}")
        self._skipped[reason] += 1

    def pytest_terminal_summary(self) -> None:
        for reason, count in self._skipped.most_common():
            self._write(f"not tested: {count:>4} {'test' if count == 1 else 'tests'}, {reason}")

    def _write(self, line: str) -> None:
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.write_line(line)
