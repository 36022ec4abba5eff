#!/usr/bin/env bash
# Install what `make test-platforms` needs and is missing: Docker, haproxy and debootstrap of Debian.
# Needs root only where something is missing; starts nothing and leaves nothing running.
set -euo pipefail

# program -> package
declare -A packages=(
    [dockerd]=docker.io
    [iptables]=iptables
    [haproxy]=haproxy
    [debootstrap]=debootstrap
)

# As root's PATH: an ordinary user's lacks sbin.
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
missing=()
for program in "${!packages[@]}"; do
    command -v "$program" >/dev/null || missing+=("${packages[$program]}")
done
if [ ${#missing[@]} -eq 0 ]; then
    exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "missing: ${missing[*]}. Run this as root, or install them." >&2
    exit 1
fi
if ! command -v apt-get >/dev/null; then
    echo "missing: ${missing[*]}, and this system has no apt-get. Install them." >&2
    exit 1
fi

echo "installing ${missing[*]}"
# A package starts its service at once where something acts as init; the tests start their own.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -qq -y --no-install-recommends "${missing[@]}"
