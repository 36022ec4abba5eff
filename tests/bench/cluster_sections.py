# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long things take on Kubernetes: scaling, failed releases, the autoscaler, a thousand pods.

Limits are multiples of a baseline of the same run, so that they mean the same on a busy machine:
of kubectl for the same work, or of a play without a task.
"""

from __future__ import annotations

import secrets
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

from tests.bench.figures import Figure, at_least, at_most, say
from tests.bench.operated_sites import FIRST, image, kubernetes_site, own_cluster, succeeded
from tests.bench.pod_watch import PodWatch
from tests.cluster.autoscaling_site import BUSY, AutoscalingSite, within
from tests.cluster.kubernetes_site import KubernetesSite
from tests.cluster.thousand_pods import PODS, measured_agent_info, thousand_pods
from tests.component.playbook_run import Run, ansible, ansible_environment

FEW, MANY = 3, 5
STABLE_S = 0.5  # the default of the module agent
ADDED = 4.0
DETECTED, RECOVERED = 20.0, 60.0
AGENT_INFO, AGENT_INFO_MB = 4.0, 250
_EMPTY_PLAYS = 5
_MOST_REPLICAS = 5
_AUTOSCALER_PATIENCE_S = 150


@dataclass(frozen=True)
class _Scaling:
    """One way to five replicas, in seconds: all of it, and of that what the new pods took.

    `held_s` is how long five were ready before `agent` returned, `module_s` its own time.
    """

    total_s: float
    pods_s: float
    held_s: float = 0.0
    module_s: float = 0.0

    @property
    def own_s(self) -> float:
        """What the tool takes itself."""
        return self.total_s - self.pods_s


def scale(folder: Path, rounds: int) -> Iterator[Figure]:
    """The guide's `kubectl scale` and `kubectl rollout status`, and scale.yml, in turns; means.

    A pod is ready with one of its probes, a second apart, whoever asked for it: the two are
    compared by what they take beside it.
    """
    guide, ours = [], []
    with kubernetes_site(folder) as site:
        empty_s = _empty_play_s(folder)
        succeeded(site.play("deploy", release=image(FIRST)))
        say(f"{'3 -> 5 replicas':<18}kubectl s   pods s    ours s   pods s  agent s   held s")
        for _round in range(rounds):
            guide.append(_scaling(site, _scale_by_kubectl))
            _scale_back(site)
            ours.append(_scaling(site, _scale_by_playbook))
            _scale_back(site)
            here, there = ours[-1], guide[-1]
            say(
                f"{'':<18}{there.total_s:9.2f}{there.pods_s:9.2f}{here.total_s:10.2f}"
                f"{here.pods_s:9.2f}{here.module_s:9.2f}{here.held_s:9.2f}"
            )
    for name, each in (("kubectl scale, kubectl rollout status", guide), ("scale.yml", ours)):
        total, pods = mean(one.total_s for one in each), mean(one.pods_s for one in each)
        yield Figure(name, f"{total:.2f} s")
        yield Figure("  of that, until the pods were ready", f"{pods:.2f} s")
    added = mean(one.own_s for one in ours) - mean(one.own_s for one in guide)
    yield Figure("empty play", f"{empty_s:.2f} s")
    yield at_most("scale.yml, more than kubectl / empty play", added / empty_s, ADDED, "x")
    least = min(one.held_s for one in ours)
    yield at_least("5 ready before agent returned, least", least, STABLE_S, "s")


def _scaling(site: KubernetesSite, scale_up: Callable[[KubernetesSite], Run | None]) -> _Scaling:
    with PodWatch(site.cluster, site.namespace) as pods:
        within(10, lambda: [seen.ready for seen in pods.seen[-1:]] == [FEW])
        begun = time.time()
        run = scale_up(site)
        ended = time.time()
    since = pods.ready_since(MANY, before=ended)
    assert since is not None, "the pods were not ready"
    pods_s = since - pods.changed_after(begun)
    if run is None:
        return _Scaling(ended - begun, pods_s)
    [at] = [each["at"] for each in run.results if _is_agent(each)]
    return _Scaling(ended - begun, pods_s, at - since, run.result_of("agent")["duration"])


def _scale_by_kubectl(site: KubernetesSite) -> None:
    here = f"--namespace={site.namespace}"
    site.cluster.kubectl("scale", "deployment/cost-agent", f"--replicas={MANY}", here)
    site.cluster.kubectl("rollout", "status", "deployment/cost-agent", here, "--timeout=90s")


def _scale_by_playbook(site: KubernetesSite) -> Run:
    return succeeded(site.play("scale", replicas=MANY))


def _scale_back(site: KubernetesSite) -> None:
    """Three replicas, and nothing left of the others."""
    succeeded(site.play("scale", replicas=FEW))
    within(60, lambda: len(site.cluster.get("pods", f"-n{site.namespace}")["items"]) == FEW)


def faults(folder: Path, _rounds: int) -> Iterator[Figure]:
    """Releases that cannot come up: when Kubernetes knew, when we said so, when all was well."""
    with kubernetes_site(folder) as site:
        empty_s = _empty_play_s(folder)
        yield Figure("empty play", f"{empty_s:.2f} s")
        succeeded(site.play("deploy", release=image(FIRST)))
        yield from _failed_release(site, "no such image", image("9.9.9"), empty_s)
        yield from _failed_release(site, "crash at start", image("crash"), empty_s)


def _failed_release(
    site: KubernetesSite, what: str, release: str, empty_s: float
) -> Iterator[Figure]:
    with PodWatch(site.cluster, site.namespace) as pods:
        run = site.play("deploy", release=release)
    failed = next((each for each in run.results if each["status"] == "failed"), None)
    if failed is None or pods.failed_at is None:
        raise SystemExit(f"{what}: {release} did not fail as it should:\n{run.output}")
    outcome = failed["result"]
    say()
    say(f"{what}: Kubernetes said {pods.failure}, the playbook: {outcome['msg'][:300]}")
    reported_s = failed["at"] - pods.failed_at
    yield Figure(f"{what}: reported after", f"{reported_s:.2f} s")
    yield at_most(f"{what}: reported / empty play", reported_s / empty_s, DETECTED, "x")
    yield _told(f"{what}: event in the result", _texts(outcome, "events"))
    if "crash" in what:
        yield _told(f"{what}: log tail in the result", _texts(outcome, "log_tail"))
    healthy = [each for each in run.results if _is_healthy(each) and each["at"] > failed["at"]]
    recovered_s = healthy[0]["at"] - failed["at"] if healthy else float("inf")
    yield Figure(f"{what}: rolled back and healthy", f"{recovered_s:.2f} s")
    yield at_most(f"{what}: rolled back / empty play", recovered_s / empty_s, RECOVERED, "x")
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
    empty_s = _empty_play_s(folder)
    with thousand_pods(own_cluster(), folder) as platform:
        measured = [measured_agent_info(platform) for _round in range(rounds)]
    for outcome, _megabytes in measured:
        if len(outcome["state"]["targets"]) != PODS:
            raise SystemExit(f"agent_info: {outcome['summary']}")
    seconds = median(outcome["duration"] for outcome, _megabytes in measured)
    yield Figure(f"agent_info of {PODS} pods", f"{seconds:.2f} s")
    yield at_most(f"agent_info of {PODS} pods / empty play", seconds / empty_s, AGENT_INFO, "x")
    most = max(megabytes for _outcome, megabytes in measured)
    yield at_most(f"agent_info of {PODS} pods, memory", most, AGENT_INFO_MB, "MB")


def _empty_play_s(folder: Path) -> float:
    """The median time of a play without a task, run as ansible-playbook is."""
    playbook = folder / "empty.yml"
    playbook.write_text("- hosts: localhost\n  gather_facts: false\n  tasks: []\n")
    command = [ansible("ansible-playbook"), str(playbook)]
    environment = ansible_environment(folder / "empty.jsonl")
    seconds = []
    for _play in range(_EMPTY_PLAYS):
        begun = time.monotonic()
        subprocess.run(command, env=environment, check=True, capture_output=True)
        seconds.append(time.monotonic() - begun)
    return median(seconds)


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
