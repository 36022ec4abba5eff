# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option of platform kubernetes; mirrors platforms/kubernetes/options.py."""

from __future__ import annotations


class ModuleDocFragment:
    """How the cluster is reached, and which workload in it is the agent."""

    DOCUMENTATION = r"""
options:
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
        description: The workload's name; the agent's by default.
        type: str
      container:
        description:
          - The agent's container in the workload's pods; the one that is called as the agent, else
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
