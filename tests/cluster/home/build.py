# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster's programs, built from Go modules and kept until a pinned version changes."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.home.errors import ClusterError
from tests.cluster.home.layout import CACHE

_MODULES = Path(__file__).resolve().parents[1] / "go"
KUBERNETES = "1.34.4"

_VERSION = "k8s.io/component-base/version"
_LINKER = " ".join(
    (
        "-s -w",
        f"-X {_VERSION}.gitVersion=v{KUBERNETES}",
        f"-X {_VERSION}.gitMajor={KUBERNETES.partition('.')[0]}",
        f"-X {_VERSION}.gitMinor={KUBERNETES.split('.')[1]}",
    )
)
# Versions are what go.sum says: no other toolchain, no change to go.mod, no C.
_ENVIRONMENT = {"GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly", "CGO_ENABLED": "0"}
_TIMEOUT_S = 4 * 3600.0  # nothing hangs here; a busy machine is only slow


@dataclass(frozen=True)
class Program:
    """One program: its file name, its package, and the folder of the module that pins it."""

    name: str
    package: str
    module: Path = _MODULES / "kubernetes"

    @property
    def folder(self) -> Path:
        """Where it is kept: named after everything that its module pins."""
        digest = hashlib.sha256(_LINKER.encode())
        pinned = (self.module / "go.mod", self.module / "go.sum")
        for path in (*pinned, *sorted(self.module.rglob("*.go"))):
            digest.update(path.read_bytes())
        return CACHE / f"bin-{self.module.name}-{digest.hexdigest()[:16]}"

    @property
    def path(self) -> Path:
        return self.folder / self.name


PROGRAMS = (
    *(
        Program(name, f"k8s.io/kubernetes/cmd/{name}")
        for name in (
            "kube-apiserver",
            "kube-controller-manager",
            "kube-scheduler",
            "kubelet",
            "kube-proxy",
        )
    ),
    Program("etcd", "go.etcd.io/etcd/server/v3"),
    Program("metrics-server", "sigs.k8s.io/metrics-server/cmd/metrics-server"),
    Program("pause", "./pause"),
)
KWOK = Program("kwok", "sigs.k8s.io/kwok/cmd/kwok", _MODULES / "kwok")


def build(programs: tuple[Program, ...], report: Callable[[str], None]) -> None:
    """Build what is not there yet, one line of progress per program.

    Raises ClusterError when Go is missing or a program does not build.
    """
    missing = [program for program in programs if not program.path.exists()]
    if not missing:
        return
    go = shutil.which("go")
    if go is None:
        raise ClusterError(
            "build: wanted Go 1.24.4 or later on PATH to build Kubernetes, found none; "
            "install it, or give a cluster of your own with KUBECONFIG"
        )
    for number, program in enumerate(missing, 1):
        report(f"build {number}/{len(missing)} {program.name} ...")
        start = time.monotonic()
        _build(go, program)
        size = program.path.stat().st_size / 1e6
        report(
            f"build {number}/{len(missing)} {program.name}: "
            f"{time.monotonic() - start:.0f} s, {size:.0f} MB"
        )
        _remove_outdated(program)


def _remove_outdated(program: Program) -> None:
    for folder in CACHE.glob(f"bin-{program.module.name}-*"):
        if folder != program.folder:
            shutil.rmtree(folder)


def _build(go: str, program: Program) -> None:
    program.folder.mkdir(parents=True, exist_ok=True)
    # Takes its name only when complete: a killed build leaves nothing that looks finished.
    partial = program.path.with_name(f".{program.name}.partial")
    command = [go, "build", "-trimpath", "-buildvcs=false", "-ldflags", _LINKER]
    try:
        result = subprocess.run(
            [*command, "-o", str(partial), program.package],
            cwd=program.module,
            env={**os.environ, **_ENVIRONMENT},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ClusterError(f"build: {program.name} took more than {_TIMEOUT_S:.0f} s") from error
    if result.returncode != 0:
        tail = "\n".join(result.stderr.splitlines()[-12:])
        raise ClusterError(f"build: {program.name} does not build:\n{tail}")
    partial.rename(program.path)
