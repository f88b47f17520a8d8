#!/bin/sh
# Fetches the upstreams of tools/upstreams.env into third_party/. A thin caller of `swoosh upstreams fetch`.
set -eu
cd "$(dirname "$0")/.."
exec "${SWOOSH:-swoosh}" upstreams fetch "$@"
