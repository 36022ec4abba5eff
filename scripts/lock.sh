#!/usr/bin/env bash
# Resolve requirements/*.in into locks that hold for every supported Python and name no index.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../requirements"

compile() {
    ../.venv/bin/uv pip compile --quiet --upgrade --universal --generate-hashes \
        --no-header --no-annotate "$@"
}

compile --python-version 3.11 uv.in -o uv.txt
# The same versions in every tier, so that `make test` tests what `make demo` runs.
compile --python-version 3.11 dev.in -o dev.txt
compile --python-version 3.11 -c dev.txt run.in -o run.txt
compile --python-version 3.11 -c dev.txt ../demo/agent/requirements.in \
    -o ../demo/agent/requirements.txt
compile --python-version 3.11 core-2.16.in -o core-2.16.txt
compile --python-version 3.11 core-2.19.in -o core-2.19.txt
compile --python-version 3.12 core-2.21.in -o core-2.21.txt
compile --python-version 3.11 awscli.in -o awscli.txt
compile --python-version 3.11 --no-deps collections.in -o collections.txt
