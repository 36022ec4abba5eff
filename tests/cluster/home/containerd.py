# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The container runtime of a node: containerd with runc and the CNI bridge, all from Debian."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from demo.stack.private_files import write_private
from demo.stack.processes import StopStep, found_in
from tests import shim
from tests.cluster.home import cgroups
from tests.cluster.home.daemon import Daemon
from tests.cluster.home.errors import ClusterError
from tests.cluster.home.layout import API_ADDRESS, NodePlace
from tests.cluster.home.mounts import unmount_below

PAUSE_IMAGE = "localhost/pause:1"
REGISTRY = f"{API_ADDRESS}:5000"

_PLUGIN_FOLDER = "/usr/lib/cni"
_CRI = "io.containerd.grpc.v1.cri"
# Where libcni keeps the results of its plugins; containerd has no setting for it.
_CNI_RESULTS = Path("/var/lib/cni/results")
_KILL = (StopStep(signal.SIGKILL, 60.0),)
_CALL_TIMEOUT_S = 120.0

_CONFIGURATION = """\
version = 2
root = "{folder}/root"
state = "{folder}/state"
# The default (-999) takes a right that root in a container often lacks.
oom_score = 0
disabled_plugins = [
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.aufs",
  "io.containerd.internal.v1.opt", "io.containerd.tracing.processor.v1.otlp",
]
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  # Without it every pod dies where root may not lower oom_score_adj.
  restrict_oom_score_adj = true
  # In the folder of the node, not in /run/netns.
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{folder}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
        # Not whatever else calls itself runc on PATH: crun refuses the hybrid cgroup mode.
        BinaryName = "{runc}"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{folder}/registries"
"""
# Every image that is not there is asked for here, whatever its name says: the answer is the local
# registry's, or a refusal at once when that does not run.
_REGISTRIES = f"""\
server = "http://{REGISTRY}"
[host."http://{REGISTRY}"]
  capabilities = ["pull", "resolve"]
"""


class Containerd:
    """One node's containerd and everything that runs under it."""

    def __init__(self, node: NodePlace) -> None:
        self._node = node
        self._folder = node.folder / "containerd"
        self.daemon = Daemon(
            node.folder,
            Path("/usr/bin/containerd"),
            lambda: {"config": self._folder / "config.toml"},
            self._answers,
            namespace=node.namespace,
            first_on_path=self._folder / "bin",
        )

    @property
    def root(self) -> Path:
        """Images and all else that outlives a restart; removed as a whole or not at all."""
        return self._folder / "root"

    @property
    def _knows_containers(self) -> Path:
        """There from a start until what has been started is forgotten in good order."""
        return self.root / "knows-containers"

    def up(self) -> None:
        """Start it. Raises StackError."""
        cgroups.create(self._node.cgroup)
        for name in ("cni", "registries/_default"):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        configuration = _CONFIGURATION.format(
            folder=self._folder,
            socket=self._node.containerd_socket,
            pause=PAUSE_IMAGE,
            plugins=_PLUGIN_FOLDER,
            runc=shutil.which("runc", path="/usr/sbin:/usr/bin:/sbin:/bin"),
        )
        write_private(self._folder / "config.toml", configuration)
        write_private(self._folder / "registries/_default/hosts.toml", _REGISTRIES)
        network = json.dumps(self._pod_network(), indent=2)
        write_private(self._folder / "cni" / "10-bridge.conflist", network)
        shim.install(self._folder / "bin")
        self.root.mkdir(mode=0o700, exist_ok=True)
        self._knows_containers.touch()
        self.daemon.up()

    def import_image(self, archive: Path) -> None:
        """Take the images of a docker-archive. Raises ClusterError."""
        self._must("images", "import", str(archive))

    def down(self, *, keep_images: bool) -> None:
        """End every container, then containerd; what it remembers of containers goes too.

        Also right after a kill of containerd, with images that have to be imported again.
        """
        elsewhere = [*self._shim_sockets(), *self._network_results()]
        cgroups.kill_processes(self._node.cgroup)
        if self.daemon.process() is not None and keep_images:
            self._forget_containers()
        for process in found_in(self._folder.resolve(), {shim.NAME}):
            process.stop(_KILL)
        self.daemon.down()
        cgroups.remove(self._node.cgroup)
        unmount_below(self._folder)
        for path in elsewhere:
            path.unlink(missing_ok=True)
        for name in ("state", "addresses", f"root/{_CRI}"):
            shutil.rmtree(self._folder / name, ignore_errors=True)
        if self._knows_containers.exists() or not keep_images:
            shutil.rmtree(self.root, ignore_errors=True)

    @property
    def _network_name(self) -> str:
        return self._node.cgroup

    def _answers(self) -> bool:
        try:
            return self._ctr("version", timeout_s=5.0).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    def _forget_containers(self) -> None:
        """Forget the ended containers, so that the next start finds none."""
        try:
            for kind, removal in (("tasks", ("delete", "--force")), ("containers", ("delete",))):
                names = self._must(kind, "list", "--quiet").split()
                if names:
                    self._must(kind, *removal, *names)
        except (ClusterError, subprocess.TimeoutExpired):
            return  # it does not answer; what it knows is then removed with the images
        self._knows_containers.unlink(missing_ok=True)

    def _shim_sockets(self) -> list[Path]:
        """What a killed shim leaves in /run/containerd; its folder says the name."""
        addresses = (self._folder / "state").glob("io.containerd.runtime.v2.task/*/*/address")
        return [Path(path.read_text().removeprefix("unix://")) for path in addresses]

    def _network_results(self) -> list[Path]:
        """What libcni keeps of pods that were not taken down one by one."""
        pods = (self.root / _CRI / "sandboxes").glob("*")
        return [path for pod in pods for path in _CNI_RESULTS.glob(f"*-{pod.name}-*")]

    def _pod_network(self) -> dict[str, object]:
        bridge = {
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": True,
            "ipMasq": False,
            "hairpinMode": True,
            "ipam": {
                "type": "host-local",
                "dataDir": str(self._folder / "addresses"),
                "ranges": [[{"subnet": self._node.pods}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }
        ports = {"type": "portmap", "capabilities": {"portMappings": True}}
        return {"cniVersion": "1.0.0", "name": self._network_name, "plugins": [bridge, ports]}

    def _must(self, *arguments: str) -> str:
        result = self._ctr(*arguments)
        if result.returncode != 0:
            raise ClusterError(f"containerd: ctr {arguments[0]} {arguments[1]}: {result.stderr}")
        return result.stdout

    def _ctr(
        self, *arguments: str, timeout_s: float = _CALL_TIMEOUT_S
    ) -> subprocess.CompletedProcess[str]:
        command: Sequence[str] = (
            "ctr",
            f"--address={self._node.containerd_socket}",
            f"--connect-timeout={timeout_s:.0f}s",
            "--namespace=k8s.io",
        )
        return subprocess.run(
            [*command, *arguments], capture_output=True, text=True, timeout=timeout_s, check=False
        )
