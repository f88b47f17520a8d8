#!/usr/bin/env bash
# Claims a target folder for this clone: if another clone used it last, SWOOSH's own crates are compiled again. RocksDB and
# the other dependencies stay.
#
# Cargo names products by the path of a crate within its workspace, and compares times alone. A clone whose files are older
# than the other clone's build would run the other clone's programs and tests.
set -euo pipefail
target=${CARGO_TARGET_DIR:?names the target folder}
here=$(cd "$(dirname "$0")/.." && pwd -P)
claim=$target/clone
[ "$(cat "$claim" 2>/dev/null)" != "$here" ] || exit 0

for prints in $(find "$target" -maxdepth 4 -type d -name .fingerprint 2>/dev/null); do
    ls -d "$prints"/swoosh* >/dev/null 2>&1 || continue
    echo "another clone used $(dirname "$prints") last: the crates of SWOOSH are compiled again"
    # Cargo's own lock: a build of the other clone ends first.
    flock "$(dirname "$prints")/.cargo-lock" rm -rf "$prints"/swoosh*
done
mkdir -p "$target"
printf '%s\n' "$here" >"$claim"
