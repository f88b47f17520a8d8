#!/usr/bin/env bash
# Draws a flame graph of a daemon under load: which functions its processor time goes to.
#
#   tools/flame.sh OUT.svg [TITLE]
#
# perf takes the samples while `swoosh-lab bench` puts 64 clients on the daemon, and inferno draws them. inferno is installed as a
# program: its licence (CDDL-1.0) is none of deny.toml, so none of our programs links it.
#
# Variables:
#   SWOOSH          the daemon's program; without it the one beside swoosh-lab, else the first one in PATH
#   SWOOSH_LAB      the lab's program; without it the one that `make build` made
#   FLAME_SECONDS   seconds of samples, default 10
#   FLAME_CLIENTS   clients, default 64
set -euo pipefail
out=${1:?usage: tools/flame.sh OUT.svg [TITLE]}
title=${2:-"swoosh under ${FLAME_CLIENTS:-64} clients: processor time"}
lab=${SWOOSH_LAB:-${CARGO_TARGET_DIR:-$HOME/.cache/swoosh/target}/debug/swoosh-lab}

command -v perf >/dev/null || { echo "perf is not installed (Debian: apt-get install linux-perf)" >&2; exit 1; }
command -v inferno-flamegraph >/dev/null || {
    echo "installing inferno, two minutes"
    cargo install --locked --version 0.12.8 inferno
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$lab" --json bench --only load --clients "${FLAME_CLIENTS:-64}" --rounds 1 --seconds "${FLAME_SECONDS:-10}" --perf "$scratch/perf.data" \
    >"$scratch/bench.json"

# Inlined functions are left out: perf finds them by a call of addr2line for each sample, which takes hours.
perf script --no-inline --input "$scratch/perf.data" 2>/dev/null >"$scratch/samples"
inferno-collapse-perf "$scratch/samples" 2>/dev/null >"$scratch/stacks"
# Parameters of generic types and hashes of symbols make the names long and the picture large.
sed -E -e 's/::h[0-9a-f]{16}//g' -e ':again' -e 's/<[^<>; ]*>//g' -e 't again' "$scratch/stacks" >"$scratch/short"
inferno-flamegraph --title "$title" --subtitle "width: share of the samples; colour: no meaning" --countname ns --minwidth 0.5 --width 1200 \
    "$scratch/short" >"$out"
echo "$out: $(wc -c <"$out") bytes, $(grep -c . "$scratch/stacks") different stacks"
