# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long things take on Kubernetes: scaling, failed releases, the autoscaler, a thousand pods."""

from __future__ import annotations

import secrets
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.bench.figures import Figure, at_least, at_most, say
from tests.bench.operated_sites import FIRST, image, kubernetes_site, own_cluster, succeeded
from tests.bench.pod_watch import PodWatch
from tests.cluster.autoscaling_site import BUSY, AutoscalingSite, within
from tests.cluster.kubernetes_site import KubernetesSite
from tests.cluster.thousand_pods import PODS, measured_agent_info, thousand_pods
from tests.component.playbook_run import Run

FEW, MANY = 3, 5
STABLE_S = 0.5  # the default of the module agent
ADDED_S = 2.0
DETECTED_S, RECOVERED_S = 10.0, 30.0
AGENT_INFO_S, AGENT_INFO_MB = 2.0, 250
_MOST_REPLICAS = 5
_AUTOSCALER_PATIENCE_S = 150


def scale(folder: Path, rounds: int) -> Iterator[Figure]:
    """The guide's `kubectl scale` and `kubectl rollout status`, and scale.yml, in turns."""
    with kubernetes_site(folder) as site:
        succeeded(site.play("deploy", release=image(FIRST)))
        guide, ours, module, held = [], [], [], []
        say(f"{'3 -> 5 replicas':<30}{'kubectl s':>10}{'ours s':>10}{'agent s':>10}{'held s':>10}")
        for _round in range(rounds):
            guide.append(_scale_by_kubectl(site))
            _scale_back(site)
            seconds, in_module, for_s = _scale_by_playbook(site)
            _scale_back(site)
            ours.append(seconds)
            module.append(in_module)
            held.append(for_s)
            say(f"{'':<30}{guide[-1]:10.2f}{seconds:10.2f}{in_module:10.2f}{for_s:10.2f}")
    theirs = statistics.median(guide)
    yield Figure("kubectl scale, kubectl rollout status", f"{theirs:.2f} s")
    yield Figure("scale.yml", f"{statistics.median(ours):.2f} s")
    yield Figure("  agent in it", f"{statistics.median(module):.2f} s")
    yield at_most("scale.yml, more than kubectl", statistics.median(ours) - theirs, ADDED_S, "s")
    yield at_least("5 ready before agent returned, least", min(held), STABLE_S, "s")


def _scale_by_kubectl(site: KubernetesSite) -> float:
    here = f"--namespace={site.namespace}"
    started = time.perf_counter()
    site.cluster.kubectl("scale", "deployment/cost-agent", f"--replicas={MANY}", here)
    site.cluster.kubectl("rollout", "status", "deployment/cost-agent", here, "--timeout=90s")
    return time.perf_counter() - started


def _scale_by_playbook(site: KubernetesSite) -> tuple[float, float, float]:
    """Seconds of the playbook, of the module in it, and of five ready replicas before its end."""
    with PodWatch(site.cluster, site.namespace) as pods:
        started = time.perf_counter()
        run = succeeded(site.play("scale", replicas=MANY))
        seconds = time.perf_counter() - started
    [at] = [each["at"] for each in run.results if _is_agent(each)]
    since = pods.ready_since(MANY, before=at)
    held = at - since if since is not None else 0.0
    return seconds, run.result_of("agent")["duration"], held


def _scale_back(site: KubernetesSite) -> None:
    """Three replicas, and nothing left of the others."""
    succeeded(site.play("scale", replicas=FEW))
    within(60, lambda: len(site.cluster.get("pods", f"-n{site.namespace}")["items"]) == FEW)


def faults(folder: Path, _rounds: int) -> Iterator[Figure]:
    """Releases that cannot come up: when Kubernetes knew, when we said so, when all was well."""
    with kubernetes_site(folder) as site:
        succeeded(site.play("deploy", release=image(FIRST)))
        yield from _failed_release(site, "no such image", image("9.9.9"))
        yield from _failed_release(site, "crash at start", image("crash"))


def _failed_release(site: KubernetesSite, what: str, release: str) -> Iterator[Figure]:
    with PodWatch(site.cluster, site.namespace) as pods:
        run = site.play("deploy", release=release)
    failed = next((each for each in run.results if each["status"] == "failed"), None)
    if failed is None or pods.failed_at is None:
        raise SystemExit(f"{what}: {release} did not fail as it should:\n{run.output}")
    outcome = failed["result"]
    say()
    say(f"{what}: Kubernetes said {pods.failure}, the playbook: {outcome['msg'][:300]}")
    reported_s = failed["at"] - pods.failed_at
    yield at_most(f"{what}: reported after", reported_s, DETECTED_S, "s")
    yield _told(f"{what}: event in the result", _texts(outcome, "events"))
    if "crash" in what:
        yield _told(f"{what}: log tail in the result", _texts(outcome, "log_tail"))
    healthy = [each for each in run.results if _is_healthy(each) and each["at"] > failed["at"]]
    recovered_s = healthy[0]["at"] - failed["at"] if healthy else float("inf")
    yield at_most(f"{what}: rolled back and healthy", recovered_s, RECOVERED_S, "s")
    yield _told(f"{what}: back on {FIRST}", [i for i in site.images() if i == image(FIRST)])


def autoscale(folder: Path, _rounds: int) -> Iterator[Figure]:
    """The autoscaler of autoscale.yml under a real load of CPU."""
    cluster = own_cluster()
    namespace = f"autoscale-{secrets.token_hex(3)}"
    cluster.kubectl("create", "namespace", namespace)
    try:
        site = AutoscalingSite(cluster, namespace, folder)
        site.apply()
        within(90, lambda: site.ready() == FEW)
        succeeded(site.autoscale(cost_agent_autoscaler_max=_MOST_REPLICAS))
        site.load(BUSY)
        first_s = within(_AUTOSCALER_PATIENCE_S, lambda: site.ready() > FEW)
        most_s = first_s + within(_AUTOSCALER_PATIENCE_S, lambda: site.ready() == _MOST_REPLICAS)
        run: Run = succeeded(site.autoscale(cost_agent_autoscaler_max=_MOST_REPLICAS))
        cpu = run.result_of("agent_autoscaler")["state"]["cpu_percent"]
        replicas = site.ready()
    finally:
        cluster.kubectl("delete", "namespace", namespace, "--wait=false")
    yield Figure("CPU of the pods, of what they request", f"{cpu:.0f} %")
    yield Figure("a fourth replica ready after", f"{first_s:.0f} s")
    yield Figure(f"all {_MOST_REPLICAS} that it may have ready after", f"{most_s:.0f} s")
    yield Figure("replicas under load", f"3 -> {replicas}", "more than 3", replicas > FEW)


def thousand(folder: Path, rounds: int) -> Iterator[Figure]:
    """agent_info on a thousand pods, in a process of its own."""
    with thousand_pods(own_cluster(), folder) as platform:
        measured = [measured_agent_info(platform) for _round in range(rounds)]
    for outcome, _megabytes in measured:
        if len(outcome["state"]["targets"]) != PODS:
            raise SystemExit(f"agent_info: {outcome['summary']}")
    seconds = statistics.median(outcome["duration"] for outcome, _megabytes in measured)
    yield at_most(f"agent_info of {PODS} pods", seconds, AGENT_INFO_S, "s")
    most = max(megabytes for _outcome, megabytes in measured)
    yield at_most(f"agent_info of {PODS} pods, memory", most, AGENT_INFO_MB, "MB")


def _is_agent(result: dict[str, Any]) -> bool:
    return bool(result["action"] == "optiinfra.cost_agent.agent")


def _is_healthy(result: dict[str, Any]) -> bool:
    state = result["result"].get("state") or {}
    of_health = result["action"] == "optiinfra.cost_agent.health_info"
    return bool(of_health and state.get("verdict") == "healthy")


def _texts(outcome: dict[str, Any], key: str) -> list[Any]:
    found = outcome.get(key) or []
    return found if isinstance(found, list) else [found]


def _told(what: str, found: list[Any]) -> Figure:
    return Figure(what, f"{len(found)}", "at least 1", bool(found))
