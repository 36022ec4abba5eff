# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server for pods that needs no database: it tells its environment, and fails as asked.

It runs in the demo agent's images by a command of its own, from a ConfigMap. Its release's tag says
how it behaves: `crash` ends at start, `never-ready` is never ready.
"""

from __future__ import annotations

from typing import Any

PORT = 8001

_SOURCE = r"""
import http.server, json, os, signal, sys, threading, time

release = os.environ.get("RELEASE_ID", "")


def log(message):
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
    print(json.dumps({"time": stamp, "message": message}), flush=True)


class Server(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        ready = not release.endswith("never-ready")
        if os.environ.get("FLAPS"):
            ready = int(time.time() / 2) % 2 == 0
        status = 200 if ready or self.path != "/api/v1/ready" else 503
        body = json.dumps({"environment": dict(os.environ)}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


log("listening, secret %s" % os.environ.get("API_TOKEN", "none"))
if os.environ.get("DB_POOL_SIZE") == "13":
    sys.exit("no pool of thirteen")
if release.endswith("crash"):
    log("RuntimeError: no such table: costs")  # of two streams, either may be read first
    sys.exit(1)


def terminate(number, frame):
    time.sleep(float(os.environ.get("DRAIN_S", "0")))
    os._exit(0)


signal.signal(signal.SIGTERM, terminate)
http.server.ThreadingHTTPServer(("", 8001), Server).serve_forever()
"""


def documents(namespace: str, kind: str = "Deployment", **spec: Any) -> list[dict[str, Any]]:
    """The ConfigMap with the server, and a workload `cost-agent` of it without a replica.

    `spec` goes into the workload's specification.
    """
    labels = {"app": "cost-agent"}
    container = {
        "name": "cost-agent",
        "image": "cost-agent:1.4.1",
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "/stand-in/server.py"],
        "ports": [{"name": "http", "containerPort": PORT}],
        "readinessProbe": {
            "httpGet": {"path": "/api/v1/ready", "port": "http"},
            "periodSeconds": 1,
            "failureThreshold": 1,
        },
        "resources": {
            "requests": {"cpu": "10m", "memory": "32Mi"},
            "limits": {"cpu": "500m", "memory": "128Mi"},
        },
        "volumeMounts": [{"name": "stand-in", "mountPath": "/stand-in"}],
    }
    pod = {
        "terminationGracePeriodSeconds": 5,
        "containers": [container],
        "volumes": [{"name": "stand-in", "configMap": {"name": "stand-in"}}],
    }
    own: dict[str, Any] = {
        "replicas": 0,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    if kind == "Deployment":
        own["strategy"] = {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    else:
        own["serviceName"] = "cost-agent"
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "stand-in", "namespace": namespace},
            "data": {"server.py": _SOURCE},
        },
        {
            "apiVersion": "apps/v1",
            "kind": kind,
            "metadata": {"name": "cost-agent", "namespace": namespace},
            "spec": {**own, **spec},
        },
    ]
