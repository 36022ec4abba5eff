#!/usr/bin/env bash
# Bring up .cache/awscli: the aws command that the guide's backup uses, for `make bench-backup`.
# It pins other versions than .venv holds, so it stands alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export XDG_CACHE_HOME="${XDG_CACHE_HOME:-$PWD/.cache}"
export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-true}"

venv="$PWD/.cache/awscli"
.venv/bin/uv venv --quiet --clear --python "$(readlink -f .venv/bin/python)" "$venv"
.venv/bin/uv pip sync --quiet --require-hashes --compile-bytecode --python "$venv/bin/python" \
    requirements/awscli.txt
touch "$venv/.ready"
