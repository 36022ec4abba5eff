# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster that is killed: in parts, while it starts, under its pods; and what is left of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.stack.processes import StopStep, read_record
from tests.cluster.home import network
from tests.cluster.home.home import Home
from tests.cluster.home.layout import Layout

pytestmark = pytest.mark.alone

_COMMAND = (sys.executable, "-m", "tests.cluster.home")
_KILL = (StopStep(signal.SIGKILL, 5.0),)


@pytest.fixture
def home(own_cluster, tmp_path: Path) -> Iterator[Home]:
    """A home that has not been started."""
    home = Home(Layout(tmp_path / "run"))
    try:
        yield home
    finally:
        home.down(purge=True)


def run(home: Home, *words: str) -> subprocess.CompletedProcess[str]:
    command = [*_COMMAND, *words, "--folder", str(home.layout.run)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def kill_up_when(home: Home, daemon: str) -> None:
    """Start `up` and kill it when the process `daemon` has been started."""
    command = [*_COMMAND, "up", "--folder", str(home.layout.run)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    record = home.layout.run / "run" / f"{daemon}.json"
    deadline = time.monotonic() + 120
    while read_record(record) is None:
        assert process.poll() is None, "up has ended"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.wait()


def traces(home: Home) -> list[str]:
    """What is left of a cluster on this machine."""
    folder = home.layout.run
    names = [path.name for path in Path("/run/netns").iterdir()]
    groups = [path.name for path in Path("/sys/fs/cgroup").glob("*/*")]
    found = [name for name in (*names, *groups) if name.startswith(home.layout.name)]
    found += [line for line in Path("/proc/mounts").read_text().splitlines() if str(folder) in line]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_text().replace("\0", " ")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if str(folder) in command and int(process.name) != os.getpid():
            found.append(f"{process.name} {command}")
    return found + [str(each) for each in (folder, home.layout.short_folder) if each.exists()]


def kubectl(home: Home, *words: str) -> subprocess.CompletedProcess[str]:
    command = ["kubectl", f"--kubeconfig={home.layout.kubeconfig}", *words]
    return subprocess.run(
        [*network.enter_prefix(home.layout.name), *command],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def files_of_pods(home: Home) -> list[Path]:
    """What containerd and its network plugins keep outside the home's folder for its pods."""
    containerd = home.layout.node(1).folder / "containerd"
    addresses = (containerd / "state").glob("io.containerd.runtime.v2.task/*/*/address")
    sandboxes = (containerd / "root" / "io.containerd.grpc.v1.cri" / "sandboxes").glob("*")
    results = (Path("/var/lib/cni/results").glob(f"*-{each.name}-*") for each in sandboxes)
    return [
        *(Path(path.read_text().removeprefix("unix://")) for path in addresses),
        *(path for found in results for path in found),
    ]


def test_killed_api_server_is_back_after_another_up(own_cluster):
    api_server = own_cluster.home.control_plane.api_server()
    assert api_server.process().stop(_KILL)
    assert own_cluster.kubectl("get", "nodes", check=False).returncode != 0

    own_cluster.home.up()

    assert own_cluster.kubectl("get", "nodes", check=False).returncode == 0


def test_killed_up_is_put_right_by_the_next(home):
    kill_up_when(home, "kube-apiserver")

    started = run(home, "up")

    assert started.returncode == 0, started.stderr
    assert run(home, "status").returncode == 0


def test_down_leaves_nothing_of_a_cluster_whose_runtime_was_killed_under_a_pod(home):
    assert run(home, "up").returncode == 0
    # The pause image is the one that every node has.
    assert kubectl(home, "run", "pod", "--image=localhost/pause:1").returncode == 0
    ready = kubectl(home, "wait", "pod/pod", "--for=condition=Ready", "--timeout=300s")
    assert ready.returncode == 0, ready.stderr
    elsewhere = files_of_pods(home)
    assert len([path for path in elsewhere if path.exists()]) >= 3  # a socket, lo and eth0

    containerd = read_record(home.layout.node(1).folder / "run" / "containerd.json")
    assert containerd is not None
    assert containerd.stop(_KILL)
    assert run(home, "status").returncode == 3
    assert run(home, "down", "--purge").returncode == 0

    assert traces(home) == []
    assert [path for path in elsewhere if path.exists()] == []
