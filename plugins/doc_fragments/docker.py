# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option of platform docker; mirrors platforms/docker/arguments.py."""

from __future__ import annotations


class ModuleDocFragment:
    """The engine, and how containers are made."""

    DOCUMENTATION = r"""
options:
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
          - Both ways need the Python library paramiko, which C(pip install docker[ssh]) brings.
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
