#!/bin/sh
# From an empty directory to REVERB on a node of your own. Needs `swoosh` and packer in PATH.
#
#   docs/quick-start.sh [DIR]        DIR must be empty or missing; left out, ./try
#
# QUICK_START_LISTEN names another address for the node than 127.0.0.1:7400.
set -eu

directory=${1:-try}
swoosh init "$directory" --listen "${QUICK_START_LISTEN:-127.0.0.1:7400}" > /dev/null
cd "$directory"
. ./.envrc                                       # SWOOSH_URL, SWOOSH_PROJECT, SWOOSH_KEY and others

# The node. By hand, run it in a terminal of its own, where it logs text.
swoosh serve --config swoosh.yaml > serve.log 2>&1 &
node=$!
trap 'kill "$node" 2> /dev/null || true' EXIT
until swoosh health > /dev/null 2>&1; do
    kill -0 "$node" 2> /dev/null || { cat serve.log >&2; exit 1; }
    sleep 0.1
done

# BOOT: the project document, then the license. The node begins to work on sources and environment, which is waited for.
swoosh propose ConfigOk --inputs @project.json
swoosh propose Licensed --wait 'ingestion == READY and environment == READY'

# The council: candidates, votes, certificate.
swoosh council elect --key keys/ada.key --key keys/ben.key --key keys/cleo.key

# The loop: PLAN, WORK, REVIEW, REVERB. Hashes come from the state, which is proven against its head.
swoosh propose AllReady
swoosh propose PlanLocked --plan plan.md --wait 5m
swoosh propose BeatReviewGate --wait 5m
swoosh approve --key keys/ada.key --key keys/ben.key --finish     # proposes ApprovalsThreshold

# Proof: every record's link, hash and signature, and every decision again.
swoosh wal verify --data data
swoosh replay --data data --reguard
