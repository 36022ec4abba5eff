#!/usr/bin/env bash
# Every linter, all of them even when one finds something; the last line says which did.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
export PATH="$PWD/.venv/bin:$PATH"

failed=()
check() {
    echo "lint: $*"
    "$@" || failed+=("$1")
}

mapfile -t shell_scripts < <(git ls-files --cached --others --exclude-standard '*.sh' .ci/run)

check ruff check --quiet
check ruff format --quiet --check
check mypy --no-error-summary
check lint-imports --no-logo --no-cache
check yamllint --strict .
check shellcheck "${shell_scripts[@]}"
check ansible-lint --offline -q
check antsibull-changelog lint

if [ ${#failed[@]} -gt 0 ]; then
    printf -v names '%s, ' "${failed[@]}"
    echo "lint: failed: ${names%, }" >&2
    exit 1
fi
echo "lint: clean"
