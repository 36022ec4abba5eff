#!/usr/bin/env bash
# Bring up .venv: an interpreter, uv, the locked packages and the collection tree.
#
#   scripts/venv.sh run    what `make demo` needs
#   scripts/venv.sh dev    what the tests and linters need as well
#
# Needs a working Python 3.11 to 3.13 on PATH and nothing else; writes only below the checkout.
# The environment's own settings for pip and uv (index, certificates, cache) stay in force.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tier="${1:?usage: scripts/venv.sh run|dev}"
venv="$PWD/.venv"

export UV_CACHE_DIR="${UV_CACHE_DIR:-$PWD/.cache/uv}"
# pip trusts the system's certificate store; uv does so only when it is told to.
export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-true}"
# uv does not read pip's configuration. A mirror that is configured for pip is used by uv too.
export PIP_DISABLE_PIP_VERSION_CHECK=1

works() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1
}

# A name on PATH proves nothing: a pyenv shim exists for versions that it then refuses to run.
find_python() {
    local name
    for name in python3.13 python3.12 python3.11 python3; do
        if works "$name"; then
            command -v "$name"
            return
        fi
    done
    echo "No working Python 3.11, 3.12 or 3.13 on PATH. Install one, or put it first on PATH." >&2
    return 1
}

mirror_from_pip() {
    if [ -z "${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-}" ]; then
        local url
        url="${PIP_INDEX_URL:-$("$1" -m pip config get global.index-url 2>/dev/null || true)}"
        if [ -n "$url" ]; then
            export UV_DEFAULT_INDEX="$url"
        fi
    fi
}

# Debian splits ensurepip from Python; there the interpreter's own pip installs into the venv.
install_uv() {
    local python="$1" lock=requirements/uv.txt
    if "$python" -m ensurepip --version >/dev/null 2>&1; then
        "$python" -m venv --clear "$venv"
        "$venv/bin/python" -m pip install -q --no-cache-dir --require-hashes -r "$lock"
    elif "$python" -m pip --version >/dev/null 2>&1; then
        "$python" -m venv --clear --without-pip "$venv"
        "$python" -m pip --python "$venv/bin/python" \
            install -q --no-cache-dir --require-hashes -r "$lock"
    else
        echo "$python has neither ensurepip nor pip. Put a Python with one of them on PATH" \
            "(pyenv, uv python install), or install your distribution's python3-venv." >&2
        return 1
    fi
    cp "$lock" "$venv/.uv-lock"
}

# ansible-playbook, pytest and mypy all import the checkout as the installed collection.
link_collection_tree() {
    local tree="$venv/collections/ansible_collections/optiinfra" site
    mkdir -p "$tree"
    ln -sfn ../../../.. "$tree/cost_agent"
    for site in "$venv"/lib/python3.*/site-packages; do
        echo ../../../collections >"$site/optiinfra_collection_tree.pth"
    done
}

if ! works "$venv/bin/python" || ! cmp -s requirements/uv.txt "$venv/.uv-lock"; then
    rm -f "$venv/.ready" "$venv/.ready-dev"
    python="$(find_python)"
    echo "venv: $("$python" --version) at $python"
    install_uv "$python"
fi

# The larger tier stays once it is there: `make demo` after `make test` removes nothing.
if [ -e "$venv/.ready-dev" ]; then
    tier=dev
fi
mirror_from_pip "$venv/bin/python"
"$venv/bin/uv" pip sync -q --python "$venv/bin/python" --require-hashes --compile-bytecode \
    "requirements/$tier.txt"
link_collection_tree
if [ "$tier" = dev ]; then
    scripts/collections.sh
fi

touch "$venv/.ready"
if [ "$tier" = dev ]; then
    touch "$venv/.ready-dev"
fi
