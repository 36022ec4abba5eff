#!/usr/bin/env bash
# Every molecule scenario, or the ones named. Further words are molecule's own:
#   scripts/molecule.sh                       test every scenario
#   scripts/molecule.sh docker kubernetes     test these
#   scripts/molecule.sh converge -s default   any other command
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PWD/.venv/bin:$PATH"
# Molecule brings an ansible.cfg of its own.
export ANSIBLE_COLLECTIONS_PATH="$PWD/.venv/collections"

start() {
    case " $* " in
    # Where pods and Services are reachable: in a cluster, which is stopped again unless it was up.
    *' kubernetes '*)
        python -m tests.cluster.home run --folder .cache/molecule/cluster molecule "$@"
        ;;
    *) molecule "$@" ;;
    esac
}

if [ $# -gt 0 ] && [ ! -d "molecule/$1" ]; then
    start "$@"
    exit
fi
if [ $# -eq 0 ]; then
    for scenario in molecule/*/; do
        set -- "$@" "$(basename "$scenario")"
    done
fi
# The cluster is a home of its own, so its scenario runs beside the others, and is told at the end.
others=()
cluster=
for scenario in "$@"; do
    if [ "$scenario" = kubernetes ]; then
        log=$(mktemp)
        start test -s kubernetes </dev/null >"$log" 2>&1 &
        cluster=$!
    else
        others+=("$scenario")
    fi
done
failed=0
for scenario in "${others[@]}"; do
    start test -s "$scenario" || failed=1
done
if [ -n "$cluster" ]; then
    wait "$cluster" || failed=1
    cat "$log"
    rm -f "$log"
fi
exit "$failed"
