#!/usr/bin/env bash
# The tests of the cluster that KUBECONFIG names: side by side, since they mostly wait for it, and
# then alone those that change what all of them share. Arguments are pytest's.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

failed=0
some() {
    pytest tests/cluster "$@"
    # 5 is that the arguments select no test of these.
    case $? in 0 | 5) ;; *) failed=1 ;; esac
}
some -m 'not alone' --numprocesses 3 --dist worksteal "$@"
some -m alone "$@"
exit "$failed"
