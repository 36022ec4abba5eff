# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of each target, one request after the other, and what its answers add up to.

A conversation decides; sending and timing its requests is the sweep's work.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from ..core.errors import Reason
from .exchange import OK, Exchange, judge
from .report_body import Component, HealthReport
from .verdict import Finding, Verdict


class Request(NamedTuple):
    """A GET of `url`, or with `connect_only` just a TCP connection to its host and port.

    It is sent `pause_s` after the answer to the one before. `last` lets the connection go.
    `private` requests carry the targets' headers and client certificate.
    """

    url: str
    pause_s: float = 0.0
    last: bool = False
    connect_only: bool = False
    private: bool = True


class Conversation(Protocol):
    """The requests to one target."""

    def next_request(self) -> Request | None:
        """The next request; None when everything was asked."""

    def receive(self, exchange: Exchange) -> None:
        """The outcome of the last request."""


@dataclass
class ComponentSamples:
    """How one dependency of a replica looked over its samples."""

    latest: Component
    verdicts: list[Verdict] = field(default_factory=list)
    latencies_ms: list[float] = field(default_factory=list)

    def finding(self, verdict: Verdict) -> Finding:
        """The verdict in the report's own words."""
        word, message = self.latest.word, self.latest.message
        said = f"is reported {word or verdict.value!r}{': ' + message if message else ''}"
        return Finding(verdict, said, "Look at it and at the agent's log", Reason.FAILED_STATE)


class ReplicaConversation:
    """The samples of one replica: each a GET of the basic, then of the detailed endpoint.

    The basic endpoint's latency is the API's. A sample whose basic request failed to get any
    answer skips the detailed one; an absent detailed endpoint (404) is not asked again.

    `failures` and `detailed_failures` are requests without a usable answer, `statements` what the
    agent says of itself when that is not healthy.
    """

    def __init__(
        self, name: str, url: str, basic_path: str, detailed_path: str,
        samples: int, interval_s: float,
    ) -> None:  # fmt: skip
        self.name = name
        self.url = url
        self._urls = (url + basic_path, url + detailed_path)
        self._interval_s = interval_s
        self._remaining = samples
        self._step = 0
        self.asked = 0
        self.latencies_ms: list[float] = []
        self.failures: list[Finding] = []
        self.detailed_failures: list[Finding] = []
        self.detailed_is_absent = False
        self.connect_ms: float | None = None
        self.components: dict[str, ComponentSamples] = {}
        self.statements: list[Finding] = []
        self.release: str | None = None

    def is_not_running(self, why: str) -> None:
        """Ask nothing: the replica's platform knows better than an answer from its address."""
        self._remaining = 0
        finding = Finding(
            Verdict.DOWN,
            f"does not run: {why}",
            "Start it with playbooks/start.yml, or see its log with playbooks/logs.yml",
            Reason.FAILED_STATE,
        )
        self.failures.append(finding)

    @property
    def answered(self) -> int:
        """The samples that got an answer of the agent's own."""
        return len(self.latencies_ms)

    def next_request(self) -> Request | None:
        if self._remaining == 0:
            return None
        pause_s = self._interval_s if self._step == 0 and self.asked else 0.0
        is_last = self._remaining == 1 and (self._step == 1 or self.detailed_is_absent)
        return Request(self._urls[self._step], pause_s, last=is_last)

    def receive(self, exchange: Exchange) -> None:
        if self._step == 0:
            self.asked += 1
            self._receive_basic(exchange)
            goes_on = exchange.code == OK and not self.detailed_is_absent
        else:
            self._receive_detailed(exchange)
            goes_on = False
        self._step = 1 if goes_on else 0
        if not goes_on:
            self._remaining -= 1

    def _receive_basic(self, exchange: Exchange) -> None:
        if exchange.connect_ms and self.connect_ms is None:
            self.connect_ms = exchange.connect_ms
        if exchange.cut_short and self.asked > 1:
            return
        finding, report = judge(exchange)
        if finding.verdict is Verdict.HEALTHY or report is not None:
            self.latencies_ms.append(exchange.latency_ms)
        self._sort(finding, report, self.failures)

    def _receive_detailed(self, exchange: Exchange) -> None:
        if exchange.http_status == 404:
            self.detailed_is_absent = True
            return
        if exchange.cut_short and self.components:
            return
        finding, report = judge(exchange)
        self._sort(finding, report, self.detailed_failures)

    def _sort(self, finding: Finding, report: HealthReport | None, failures: list[Finding]) -> None:
        if report is not None:
            self._keep(report)
        if finding.verdict is not Verdict.HEALTHY:
            (failures if report is None else self.statements).append(finding)

    def _keep(self, report: HealthReport) -> None:
        self.release = report.release or self.release
        for component in report.components:
            samples = self.components.get(component.name)
            if samples is None:
                samples = self.components[component.name] = ComponentSamples(component)
            samples.latest = component
            if component.verdict is not None:
                samples.verdicts.append(component.verdict)
            if component.latency_ms is not None:
                samples.latencies_ms.append(component.latency_ms)


class DependencyConversation:
    """The samples of a dependency: any good HTTP answer, or a TCP connection, is health."""

    def __init__(
        self, name: str, url: str, is_tcp: bool, critical: bool, samples: int, interval_s: float
    ) -> None:
        self.name = name
        self.url = url
        self.critical = critical
        self._is_tcp = is_tcp
        self._interval_s = interval_s
        self._remaining = samples
        self.latencies_ms: list[float] = []
        self.findings: list[Finding] = []

    def next_request(self) -> Request | None:
        if self._remaining == 0:
            return None
        pause_s = self._interval_s if self.findings else 0.0
        return Request(
            self.url,
            pause_s,
            last=self._remaining == 1 or self._is_tcp,
            connect_only=self._is_tcp,
            private=False,
        )

    def receive(self, exchange: Exchange) -> None:
        self._remaining -= 1
        if exchange.cut_short and self.findings:
            return
        if self._is_tcp and exchange.code == OK:
            finding = Finding(Verdict.HEALTHY, "accepts connections")
            latency_ms = exchange.connect_ms
        else:
            finding = judge(exchange, any_body=True).finding
            latency_ms = exchange.latency_ms
        self.findings.append(finding)
        if finding.verdict is Verdict.HEALTHY:
            self.latencies_ms.append(latency_ms)
