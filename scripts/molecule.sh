#!/usr/bin/env bash
# Every molecule scenario. Arguments are passed on, `scripts/molecule.sh converge -s default`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PWD/.venv/bin:$PATH"
# Molecule brings an ansible.cfg of its own.
export ANSIBLE_COLLECTIONS_PATH="$PWD/.venv/collections"

if [ $# -eq 0 ]; then
    set -- test --all
fi
molecule "$@"
