# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the last line of a run says, gathered while the run goes on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .operator_view import Outcome, plain, shorten, verdict_of


class RunTally:
    """Hosts, verdicts, failures and changes of all plays."""

    def __init__(self) -> None:
        self.check_mode = False
        self.plays_without_hosts = 0
        self._places: dict[str, int] = {}
        self._operated: set[str] = set()
        self._verdicts: dict[str, str] = {}
        self._failures: dict[str, str] = {}
        self._changed_steps: set[str] = set()

    def saw_hosts(self, hosts: Iterable[str]) -> None:
        for host in hosts:
            self._places.setdefault(host, len(self._places))

    def operated_on(self, hosts: Iterable[str]) -> None:
        """Count these hosts; those of plays that only look around are not counted."""
        self._operated.update(hosts)

    def place(self, host: str) -> int:
        """Where the host stands in the inventory, to list hosts in one order."""
        return self._places.get(host, len(self._places))

    def note(self, host: str, step: str, values: Mapping[str, Any]) -> None:
        """Remember a result's verdict and whether its step (a unique id) changed something."""
        verdict = verdict_of(values)
        if verdict:
            self._verdicts[host] = verdict
        if values.get("changed"):
            self._changed_steps.add(step)

    def failed(self, host: str, label: str, values: Mapping[str, Any]) -> None:
        """Remember why: the result's reason, or the first sentence of its message."""
        message = str(values.get("msg", "")).strip().partition("\n")[0]
        said = values.get("reason") or message.partition(". ")[0].rstrip(".")
        self._failures[host] = shorten(label) + (f": {plain(said)}" if said else "")

    def forgive(self, host: str) -> None:
        """Forget the host's last failure, which turned out to be ignored."""
        self._failures.pop(host, None)

    def outcome(self, stats: Any, seconds: float) -> Outcome:
        """The run as Ansible's own statistics judge it: a rescued failure is none."""
        lost = [
            host for host in stats.processed if stats.failures.get(host) or stats.dark.get(host)
        ]
        return Outcome(
            seconds=seconds,
            hosts=len(self._operated or self._places),
            plays_without_hosts=self.plays_without_hosts,
            failures={host: self._failures.get(host, "see above") for host in lost},
            verdicts=self._verdicts,
            changed_steps=len(self._changed_steps),
            rescued=sum(stats.rescued.values()),
            ignored=sum(stats.ignored.values()),
            check_mode=self.check_mode,
        )
