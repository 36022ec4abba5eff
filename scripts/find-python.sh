#!/usr/bin/env bash
# Print the first Python of the given versions that works, on PATH or kept by pyenv:
#
#   scripts/find-python.sh 3.12 3.11
set -euo pipefail

for version in "$@"; do
    for candidate in "python$version" \
        "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/"python$version"; do
        # Being there proves nothing: pyenv has shims for versions that it then refuses to run.
        if "$candidate" -c '' >/dev/null 2>&1; then
            command -v "$candidate"
            exit
        fi
    done
done
exit 1
