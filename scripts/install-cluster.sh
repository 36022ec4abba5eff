#!/usr/bin/env bash
# Install what a cluster of our own runs from Debian and is missing; Kubernetes itself is built.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

./debian-packages.sh containerd=containerd runc=runc iptables=iptables ip=iproute2 \
    /usr/lib/cni/bridge=containernetworking-plugins debootstrap=debootstrap
