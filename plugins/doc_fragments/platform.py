# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that the modules of the platforms area share; mirrors platforms/arguments.py."""

from __future__ import annotations

_KUBERNETES = r"""
  kubernetes:
    description:
      - How to reach the cluster, and which workload in it is the agent.
      - Without O(kubernetes.host), O(kubernetes.kubeconfig) and O(kubernetes.context), what the
        variables of kubernetes.core say, such as E(K8S_AUTH_KUBECONFIG) and E(K8S_AUTH_API_KEY),
        then E(KUBECONFIG), then C(~/.kube/config), then the service account of the pod that this
        runs in.
    type: dict
    suboptions:
      kubeconfig:
        description: A kubeconfig, or several as E(KUBECONFIG) lists them.
        type: path
      context:
        description: The context of the kubeconfig; its current one by default.
        type: str
      host:
        description: URL of the API server, instead of a kubeconfig.
        type: str
      api_key:
        description: A bearer token for O(kubernetes.host).
        type: str
      ca_cert:
        description: A file with the CA certificates of the API server.
        type: path
      client_cert:
        description: A file with a client certificate for O(kubernetes.host).
        type: path
      client_key:
        description: A file with its key.
        type: path
      validate_certs:
        description: Whether the API server's certificate is checked.
        type: bool
        default: true
      namespace:
        description: The agent's namespace.
        type: str
        default: optiinfra
      kind:
        description: Which kind of workload the agent is.
        type: str
        choices: [Deployment, StatefulSet]
        default: Deployment
      workload:
        description: The workload's name; O(name) by default.
        type: str
      container:
        description:
          - The agent's container in the workload's pods; the one that is called as O(name), else
            the first, by default.
        type: str
      force:
        description:
          - Change the workload also where it is paused, or where something else owns it that will
            change it back, such as Argo CD, Flux, Helm or an operator.
        type: bool
        default: false
      adjust_autoscaler:
        description:
          - Move the bounds of a HorizontalPodAutoscaler for a count that lies outside them.
          - Without it such a count is refused.
        type: bool
        default: false
      request_timeout_s:
        description: Seconds that one request may take.
        type: float
        default: 30
"""


class ModuleDocFragment:
    """Which agent, on which platform; C(SERVING) adds how many replicas listen where.

    C(CLUSTER) is the option of a module that asks the replicas of a cluster and nothing else.
    """

    DOCUMENTATION = r"""
options:
  platform:
    description:
      - Where the agent runs.
      - V(process) runs each replica as a uvicorn process with a pid file on the managed host.
      - V(kubernetes) runs them as the pods of a Deployment or StatefulSet, which the role deploy
        applies. It needs the Python library kubernetes where the module runs.
    type: str
    choices: [process, kubernetes]
    default: process
  name:
    description:
      - The agent's name, and the first part of its replicas' names.
      - Lower case letters, digits and hyphens.
    type: str
    default: cost-agent
  home:
    description: The agent's folder on the managed host, for its releases, environment and logs.
    type: path
    default: /opt/cost-agent
  state_store:
    description:
      - Where locks and intent are kept, C(file:///folder) or C(s3://bucket/prefix).
      - S3 needs boto3 1.36 or newer on the managed host. Its credentials and endpoint come from the
        environment (E(AWS_ACCESS_KEY_ID), E(AWS_PROFILE), E(AWS_ENDPOINT_URL), ...), C(~/.aws) or a
        role.
      - Without it, the folder C(state) below O(home), and on Kubernetes ConfigMaps of the
        agent's namespace.
    type: str"""

    DOCUMENTATION += _KUBERNETES

    CLUSTER = "options:\n" + _KUBERNETES

    SERVING = r"""
options:
  replicas:
    description:
      - How many replicas run, on consecutive ports from O(port).
      - Without it, the count that was asked for last, and 3 where there was none.
      - V(0) is refused, since that would be a stop.
    type: int
  host:
    description: Address that the replicas listen on.
    type: str
    default: 0.0.0.0
  port:
    description: Port of the first replica.
    type: int
    default: 8001
  app:
    description: The application as uvicorn takes it, C(module:attribute).
    type: str
    default: src.main:app
"""
