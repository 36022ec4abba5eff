#!/usr/bin/env bash
# The tests that touch ansible-core, on every supported version, each in a venv of its own: unit,
# both ways into every module, the callback, and a deploy and a health check of a real agent.
# A version without a suitable Python is skipped; under CI=true only the newest may be. The one that
# .venv itself has is what `make test` runs on.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export XDG_CACHE_HOME="${XDG_CACHE_HOME:-$PWD/.cache}"
export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-true}"

# One run of these tests with the given ansible-core.
try() {
    local core="$1" python="$2" venv="$PWD/.venv-core/$1" site
    .venv/bin/uv venv --quiet --clear --python "$python" "$venv" &&
        .venv/bin/uv pip sync --quiet --require-hashes --python "$venv/bin/python" \
            "requirements/core-$core.txt" || return
    site="$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
    echo "$PWD/.venv/collections" >"$site/optiinfra_collection_tree.pth"
    (
        export PATH="$venv/bin:$PATH"
        pytest -q --numprocesses 2 --dist loadfile \
            tests/unit tests/component/test_{engine_action,two_ways,operator_callback,preload}.py \
            tests/component/test_playbooks.py::test_a_deploy_serves_the_release_and_records_it_good
    )
}

summary=()
failed=0
run() {
    local core="$1" python
    shift
    if [ "$core" = "$made" ]; then
        summary+=("ansible-core $core: the one of .venv, which make test runs on")
        return
    fi
    if ! python="$(scripts/find-python.sh "$@")"; then
        summary+=("ansible-core $core: skipped, no working Python of: $*")
        if [ "${CI:-}" = true ] && [ "$core" != "$newest" ]; then
            failed=1
        fi
        return
    fi
    echo "== ansible-core $core on $("$python" --version)"
    if try "$core" "$python"; then
        summary+=("ansible-core $core: passed on $("$python" --version)")
    else
        summary+=("ansible-core $core: FAILED on $("$python" --version)")
        failed=1
    fi
}

made=$(.venv/bin/python -c 'from ansible.release import __version__ as v; print(*v.split(".")[:2], sep=".")')
newest=2.21
run 2.16 3.12 3.11
run 2.19 3.11 3.12 3.13
run 2.21 3.13 3.12

printf '%s\n' "${summary[@]}"
exit "$failed"
