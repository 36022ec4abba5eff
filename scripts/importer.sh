#!/usr/bin/env bash
# Import the artifact in dist/ as Galaxy does. Galaxy only logs what ansible-lint and the other
# checks find; here an error or a warning fails.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PWD/.venv/bin:$PATH"

work="$PWD/.cache/importer"
rm -rf "$work"
mkdir -p "$work/tmp"
artifact="$(echo "$PWD"/dist/optiinfra-cost_agent-*.tar.gz)"
printf '[galaxy-importer]\nANSIBLE_LOCAL_TMP = %s\nTMP_ROOT_DIR = %s\nCHECK_REQUIRED_TAGS = True\n' \
    "$work/tmp" "$work/tmp" >"$work/galaxy-importer.cfg"

cd "$work"
GALAXY_IMPORTER_CONFIG="$work/galaxy-importer.cfg" \
    python -m galaxy_importer.main "$artifact" 2>&1 | tee log
if grep -E '^(ERROR|WARNING|CRITICAL)' log >/dev/null; then
    echo "importer: the lines above marked ERROR or WARNING must go" >&2
    exit 1
fi
echo "importer: clean"
