#!/bin/sh
# containerd-shim-runc-v2 where every cgroup hierarchy of this machine is mounted: containerd 1.6 measures
# a container only if it finds all of /proc/self/cgroup, and a systemd in somebody's container mounts
# hierarchies (version 1) that are nowhere else. They are mounted for this shim alone, beside this script.
set -eu

if [ "${1:-}" != inside ]; then
    exec unshare --mount --propagation slave -- "$0" inside "$@"
fi
shift

beside="$(dirname "$0")/hierarchies"
mkdir -p "$beside"
mount -t tmpfs hierarchies "$beside"
while IFS=: read -r _ names _; do
    case "$names" in
    '' | name=*) continue ;;
    esac
    if ! grep -q " - cgroup [^ ]* .*[, ]${names%%,*}\(,\|$\)" /proc/self/mountinfo; then
        mkdir "$beside/$names"
        mount -t cgroup -o "$names" cgroup "$beside/$names"
    fi
done </proc/self/cgroup

exec /usr/bin/containerd-shim-runc-v2 "$@"
