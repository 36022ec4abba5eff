# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The `load_test` module: a bounded load on the agent, measured, compared and reported."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from ...core.context import Context
from ...core.errors import OperationError, Reason
from ...core.operation import Operation, Params
from ...core.readable import utc_text
from ...core.redact import redact, secret_values
from ...core.result import Result
from ...health import CurlSender, judge, let_through, no_collector, open_files
from ...platforms import access_through_server
from ..replica_pools import connections_in_use
from .comparison import load_table, notes, summary
from .figures import Figures, answers_a_second, counted, latency_figures
from .page import page_content, render_page, require_report, write_page
from .plan import LoadPlan, load_arguments, read_load_plan
from .schedule import MOST_AT_A_TIME, LoadSeen, OpenLoad, most_frequent

_USER_AGENT = "optiinfra-cost-agent-load"


def run(params: Params, context: Context) -> Result:
    """Send the load, and tell what it showed; compare with `before`, and write the report.

    Nothing is changed. Fails where not one request was answered, since there is nothing to measure
    then, and with `failed_state` where the load had to be cut short that went through before.
    """
    plan = read_load_plan(params)
    plan = replace(plan, transport=replace(plan.transport, user_agent=_USER_AGENT))
    if plan.report:
        require_report(plan.report)
    if context.check_mode:
        CurlSender(plan.transport, most_idle=1).close()  # tells of a library that is missing
        return _rehearsed(plan)
    taken_at = utc_text(context.clock.now())
    with access_through_server(params["kubernetes"], plan.urls) as access:
        if access is not None:
            plan = replace(plan, transport=let_through(plan.transport, access))
        seen = _send(plan, context)
    figures = _figures(plan, seen, taken_at)
    result = _result(plan, figures)
    if plan.report:
        _write_report(plan.report, plan, figures, params, result)
    _require_measured(plan, seen, figures, result)
    return result


def _rehearsed(plan: LoadPlan) -> Result:
    actions = [f"Would send {plan.text}"]
    if plan.report:
        actions.append(f"Would write the report to {plan.report}")
    return Result(
        actions=actions, state={"requests": plan.requests}, summary=f"would send {plan.text}"
    )


def _send(plan: LoadPlan, context: Context) -> LoadSeen:
    with open_files(MOST_AT_A_TIME + 1) as places, no_collector():
        at_a_time = min(MOST_AT_A_TIME, places - 1)
        sender = CurlSender(plan.transport, most_idle=at_a_time)
        try:
            load = OpenLoad(
                plan, sender, at_a_time, context.clock, context.progress, connections_in_use
            )
            return load.run()
        finally:
            sender.close()


def _figures(plan: LoadPlan, seen: LoadSeen, taken_at: str) -> Figures:
    outcomes = counted(seen.outcomes, plan.warm_up_requests)
    answered = sum(each.latency_ms is not None for each in outcomes)
    took_s = seen.ended_s - min((each.number for each in outcomes), default=0) / plan.rate
    return Figures(
        path=plan.path,
        rate=plan.rate,
        duration_s=plan.duration_s,
        warm_up_s=plan.warm_up_s,
        replicas=len(plan.urls),
        taken_at=taken_at,
        answers_a_second=answers_a_second(
            answered, 0.0 if seen.cut_short else plan.duration_s, took_s
        ),
        most_connections_in_use=seen.most_connections_in_use,
        sent_late_ms=round(seen.sent_late_s * 1000, 3),
        cut_short=seen.cut_short,
        **latency_figures(outcomes),
    )


def _result(plan: LoadPlan, figures: Figures) -> Result:
    told = {"latest": _kept(figures)}
    if plan.before:
        told["before"] = _kept(plan.before)
    return Result(
        state={**figures.as_dict(), "notes": notes(figures, plan.before)},
        summary=summary(plan.agent, figures, plan.before),
        tables=[load_table(figures, plan.before)],
        stats={"cost_agent_load": {plan.agent: told}},
    )


def _kept(figures: Figures) -> dict[str, Any]:
    """What is kept with the job."""
    kept = figures.as_dict()
    del kept["distribution"]
    return kept


def _write_report(
    path: str, plan: LoadPlan, figures: Figures, params: Params, result: Result
) -> None:
    content = page_content(plan.agent, figures, plan.before, plan.changes)
    secrets = secret_values(params, LOAD_TEST.argument_spec)
    page = render_page(redact(content, secrets), figures, plan.before)
    try:
        write_page(path, page)
    except OperationError as error:  # what was measured cannot be measured again
        raise OperationError(
            error.reason, error.wanted, error.seen, error.next_step, **_told(result)
        ) from error
    result.actions.append(f"Wrote the report to {path}")
    result.summary += f"; report: {path}"


def _told(result: Result) -> dict[str, Any]:
    """What a failure still tells of the load."""
    return {
        "state": result.state,
        "summary": result.summary,
        "tables": [asdict(table) for table in result.tables],
        "actions": result.actions,
    }


def _require_measured(plan: LoadPlan, seen: LoadSeen, figures: Figures, result: Result) -> None:
    wanted = f"measure {plan.agent} under load"
    if not figures.answered:
        finding = judge(seen.first_failure).finding if seen.first_failure else None
        raise OperationError(
            (finding and finding.reason) or Reason.TIMEOUT,
            wanted,
            f"of {figures.requests} requests to {plan.path} none was answered: "
            f"{most_frequent(figures.failures)}",
            (finding and finding.next_step) or "Look at its log",
            **_told(result),
        )
    if figures.cut_short and plan.before and not plan.before.cut_short:
        back = ", ".join(f"{name} {old}" for name, (old, _new) in plan.changes.items())
        raise OperationError(
            Reason.FAILED_STATE,
            wanted,
            f"the load that it took before was cut short, {figures.cut_short}",
            f"Look at its log with playbooks/logs.yml{f', or go back to {back}' if back else ''}",
            **_told(result),
        )


LOAD_TEST = Operation("load_test", load_arguments(), run)
