#!/usr/bin/env bash
# All of ansible-test's sanity tests, on a copy of the checkout: ansible-test insists on a real
# path .../ansible_collections/optiinfra/cost_agent and refuses a link. Arguments are passed on,
# for example `scripts/sanity.sh --test validate-modules`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
checkout="$PWD"
python="$checkout/.venv/bin/python"
export PATH="$checkout/.venv/bin:$PATH"

if compgen -G 'tests/sanity/ignore-*.txt' >/dev/null; then
    echo "sanity: this collection ignores no finding; remove tests/sanity/ignore-*.txt" >&2
    exit 1
fi

oldest="$(scripts/find-python.sh 3.9 || true)"

# ansible-test keeps its virtual environments in the home directory and drops nearly all of the
# environment, so the home is one of ours, and pip's settings reach it as a file.
home="$checkout/.cache/ansible-test"
mkdir -p "$home/.config/pip" "$home/.ansible/test/cache"

pip_setting() {
    "$python" -m pip config get ":env:.$1" 2>/dev/null ||
        "$python" -m pip config get "global.$1" 2>/dev/null || true
}
{
    echo '[global]'
    for option in cert index-url extra-index-url proxy; do
        value="$(pip_setting "$option")"
        if [ -n "$value" ]; then
            echo "$option = $value"
        fi
    done
} >"$home/.config/pip/pip.conf"

# It would fetch get-pip.py from a site of its own. The pip that is locked here does as well.
pip_version="$("$python" -c '
from types import SimpleNamespace
from ansible_test._internal.python_requirements import get_venv_packages
print(get_venv_packages(SimpleNamespace(version="default"))["pip"])')"
cat >"$home/.ansible/test/cache/get_pip_${pip_version//./_}.py" <<PYTHON
import subprocess
import sys

wanted = [word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel")]
pip = ["$python", "-m", "pip", "--python", sys.executable, "install", "--quiet", *wanted]
sys.exit(subprocess.run(pip, check=False).returncode)
PYTHON

copy="$checkout/.cache/sanity/ansible_collections/optiinfra/cost_agent"
rm -rf "$copy"
mkdir -p "$copy"
git ls-files -z --cached --others --exclude-standard |
    while IFS= read -r -d '' file; do
        if [ -e "$file" ]; then
            printf '%s\0' "$file"
        fi
    done |
    tar --create --null --files-from=- | tar --extract --directory "$copy"

cd "$copy"
# Or it would ask the repository around the copy, which ignores .cache.
git init --quiet
git add --all

export HOME="$home"
version="$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
ansible-test sanity --color no --local --python "$version" "$@"

# The oldest Python of a target must be able to read and import what is sent there.
if [ $# -eq 0 ] && [ -n "$oldest" ]; then
    # By PATH: --python-interpreter does not reach the environment that `import` makes.
    PATH="$checkout/.venv/bin:$(dirname "$oldest"):$PATH" \
        ansible-test sanity --color no --local --python 3.9 --test compile --test import
elif [ $# -eq 0 ]; then
    echo "sanity: no Python 3.9 here, so importing with it was not tried"
fi
