#!/usr/bin/env bash
# What `make test` runs: the linters, beside the unit and component tests with the engine's coverage.
# All of it even when one finds something; the last line says how it ended. Arguments are pytest's.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

failed=0
lint=clean
found=$(mktemp)
scripts/lint.sh >"$found" 2>&1 & # it computes, where tests wait for half of their time
linters=$!
pytest -m 'not slow' --cov --cov-report= --numprocesses 4 --dist loadfile --no-loadscope-reorder "$@" ||
    failed=1
wait "$linters" || { lint=FAILED failed=1; }
cat "$found"
rm -f "$found"
printf 'coverage of the engine %s %%, linters %s, %d min %02d s in all\n' \
    "$(coverage report --format=total 2>/dev/null || echo unknown)" "$lint" \
    $((SECONDS / 60)) $((SECONDS % 60))
exit "$failed"
