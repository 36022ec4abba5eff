#!/usr/bin/env bash
# Install what some component tests need and is missing: a redis-server with TLS, and redis-cli.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

./debian-packages.sh redis-server=redis-server redis-cli=redis-tools
