#!/usr/bin/env bash
# Put the collections of requirements.yml, and what they need, into .venv/collections. They come
# out of the `ansible` bundle on the package index, which is there where Galaxy cannot be reached.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

wanted=(kubernetes/core community/docker community/library_inventory_filtering_v1)
lock=requirements/collections.txt
tree="$PWD/.venv/collections/ansible_collections"
bundle="$PWD/.venv/bundle"

if cmp -s "$lock" "$tree/.lock"; then
    exit 0
fi
rm -rf "$bundle"
.venv/bin/uv pip install -q --python .venv/bin/python --no-deps --require-hashes \
    --target "$bundle" -r "$lock"
for name in "${wanted[@]}"; do
    rm -rf "${tree:?}/$name"
    mkdir -p "$tree/${name%/*}"
    mv "$bundle/ansible_collections/$name" "$tree/$name"
done
rm -rf "$bundle"
cp "$lock" "$tree/.lock"
