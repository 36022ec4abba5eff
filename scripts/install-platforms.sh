#!/usr/bin/env bash
# Install what `make test-platforms` needs and is missing: Docker, a registry, haproxy, PgBouncer,
# debootstrap and sshd of Debian.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

./debian-packages.sh dockerd=docker.io iptables=iptables haproxy=haproxy debootstrap=debootstrap \
    docker-registry=docker-registry sshd=openssh-server pgbouncer=pgbouncer
