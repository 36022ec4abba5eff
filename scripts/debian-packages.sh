#!/usr/bin/env bash
# Install Debian packages whose programs are missing: scripts/debian-packages.sh PROGRAM=PACKAGE...
# Needs root only where something is missing; starts nothing and leaves nothing running.
set -euo pipefail

# As root's PATH: an ordinary user's lacks sbin.
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
missing=()
for wanted in "$@"; do
    command -v "${wanted%%=*}" >/dev/null || missing+=("${wanted#*=}")
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

# One at a time: apt takes no second one, and the policy below is of whoever wrote it.
exec 9>/run/cost-agent-packages.lock
flock 9
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
