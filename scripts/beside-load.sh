#!/usr/bin/env bash
# Run a command beside other work, as on a machine that somebody else uses too:
#   scripts/beside-load.sh make test
#   LOADS=20 scripts/beside-load.sh make demo
# The work is LOADS compilers, three unless told otherwise, each of which compiles this Python's
# standard library again and again until the command ends. The exit code is the command's.
set -uo pipefail

if [ $# -eq 0 ]; then
    echo "usage: [LOADS=3] scripts/beside-load.sh COMMAND [ARGUMENT...]" >&2
    exit 2
fi
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
python="$("$here/find-python.sh" 3.13 3.12 3.11)" || {
    echo "beside-load: no working Python 3.11, 3.12 or 3.13 on PATH" >&2
    exit 1
}

written="$(mktemp -d)"
compilers=()
end() {
    # Each by its own pid; what one was just writing goes with the folder.
    kill "${compilers[@]}" 2>/dev/null
    wait "${compilers[@]}" 2>/dev/null
    rm -rf "$written"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

for number in $(seq "${LOADS:-3}"); do
    "$python" -c '
import compileall, os, sys, sysconfig

sys.pycache_prefix = sys.argv[1]
watched = os.getppid()
while os.getppid() == watched:
    compileall.compile_dir(sysconfig.get_path("stdlib"), force=True, quiet=2)
' "$written/$number" </dev/null >/dev/null 2>&1 &
    compilers+=($!)
done
echo "beside-load: $* beside ${#compilers[@]} compilers on $(nproc) cores" >&2
"$@"
