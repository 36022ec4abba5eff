# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that the modules of the platforms area share; mirrors platforms/arguments.py."""

from __future__ import annotations


class ModuleDocFragment:
    """Which agent, on which platform; C(SERVING) adds how many replicas listen where."""

    DOCUMENTATION = r"""
options:
  platform:
    description:
      - Where the agent runs.
      - A play says this, and the options like it, once for all its tasks with
        C(group/optiinfra.cost_agent.platform) in C(module_defaults).
      - V(process) runs each replica as a uvicorn process with a pid file on the managed host.
      - V(systemd) runs each replica as a service C(cost-agent@8001.service) of systemd, whose socket
        outlives its restarts. Needs root, and the units that role C(deploy) installs.
      - V(kubernetes) runs them as the pods of a Deployment or StatefulSet, which the role deploy
        applies. It needs the Python library kubernetes where the module runs.
      - V(docker) runs each as a container that publishes a port of its own. It needs the Python
        library docker where the module runs, and nothing on the engine's machine.
    type: str
    choices: [process, systemd, docker, kubernetes]
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
    type: str
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
  docker:
    description:
      - The engine, and how the containers of platform V(docker) are made.
    type: dict
    suboptions:
      docker_host:
        description:
          - The engine, C(unix:///path), C(tcp://host:port) or C(ssh://user@host).
          - Without it, E(DOCKER_HOST), else C(unix:///var/run/docker.sock).
        type: str
      tls:
        description: Speak TLS, also without checking the engine's certificate.
        type: bool
      validate_certs:
        description:
          - Speak TLS and check the engine's certificate.
          - Without it, E(DOCKER_TLS_VERIFY), else V(false).
        type: bool
      ca_path:
        description:
          - The authorities to trust.
          - Without it, C(ca.pem) in E(DOCKER_CERT_PATH).
        type: path
      client_cert:
        description:
          - The certificate to present.
          - Without it, C(cert.pem) in E(DOCKER_CERT_PATH).
        type: path
      client_key:
        description:
          - The key of the certificate to present.
          - Without it, C(key.pem) in E(DOCKER_CERT_PATH).
        type: path
      tls_hostname:
        description: The name that the engine's certificate must be for, where its address differs.
        type: str
      api_version:
        description: The version of the engine's API to speak, 1.41 or newer.
        type: str
        default: auto
      timeout:
        description: Seconds that the engine may take to answer one question.
        type: int
        default: 60
      use_ssh_client:
        description:
          - For C(ssh://), run the program ssh with the configuration and agent of this user.
          - V(false) needs the Python library paramiko.
        type: bool
        default: true
      pull:
        description:
          - When M(optiinfra.cost_agent.agent_release) pulls the image. V(missing) where the engine
            does not have it, V(always) to compare with the registry, V(never) where images are
            loaded by hand.
          - Registries are logged in to with C(docker login), as the user who runs this.
        type: str
        choices: [missing, always, never]
        default: missing
      container_port:
        description: The port that the agent listens on inside its container.
        type: int
        default: 8001
      network:
        description: The network that containers are in. It must be there.
        type: str
        default: bridge
      restart_policy:
        description:
          - What the engine does when a container ends by itself.
          - With V(unless-stopped) it starts it again, also when the engine itself was restarted,
            and lets be what was stopped on purpose.
        type: str
        choices: [unless-stopped, on-failure, always, 'no']
        default: unless-stopped
      read_only:
        description: Mount the container's root file system read-only, with a small C(/tmp).
        type: bool
        default: false
      user:
        description: User, and group behind a colon; the image's without it.
        type: str
      command:
        description: The command to run instead of the image's.
        type: list
        elements: str
      volumes:
        description: What to mount, C(/on/the/host:/in/the/container), with C(:ro) for read-only.
        type: list
        elements: str
      labels:
        description: Labels of the containers, beside this collection's own.
        type: dict
      log_driver:
        description: The log driver; the engine's default without it.
        type: str
      log_options:
        description: Options of the log driver, such as C(max-size).
        type: dict
      compose:
        description:
          - Run the agent as a service of a compose project, by C(docker compose).
        type: dict
        suboptions:
          project:
            description: The project's name.
            type: str
            required: true
          service:
            description: The agent's service in it.
            type: str
            default: cost-agent
          files:
            description: The project's files, in order. They are read and never written.
            type: list
            elements: path
"""

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
