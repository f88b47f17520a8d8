#!/bin/sh
# One step of a pipeline: proposes a transition, waits for a state, and keeps the results as files.
#
# SWOOSH_URL, SWOOSH_PROJECT, SWOOSH_KEY and the like are read by `swoosh` itself. The step reads:
#
#   STEP_TRANSITION  transition to propose; empty: the step only waits
#   STEP_INPUTS      inputs of the transition, JSON; empty: {}
#   STEP_RUN         name of the run, the same when the step is run again
#   STEP_NAME        name of the step, unique in the run
#   STEP_STARTED     time when the run began, RFC 3339, the same when the step is run again; it names the beat of the key
#   STEP_GOAL        goal of the idempotency key; empty: ci
#   STEP_PATIENCE    how long to wait for the transition's window; empty: not at all
#   STEP_WAIT        state to wait for, as `swoosh wait` reads it; empty: none
#   STEP_TIMEOUT     longest wait for the state; empty: 15m
#   STEP_FAIL_ON     failures that end the wait, with commas; empty: none
#   STEP_OUT         folder of the results; empty: swoosh-step
#
# A node with closed reads is asked with the key of SWOOSH_SECRET, if SWOOSH_READ_AS names no other.
#
# Results: receipt.json and decision.json of an accepted proposal, problem.json of a refused one, step.env with `outcome`, `index`
# and `decision`, summary.md. The exit code is that of `swoosh`: 0 done, 1 refused, 2 wrong usage, 3 time over, 4 unreachable.
set -eu

out=${STEP_OUT:-swoosh-step}
mkdir -p "$out"
rm -f "$out/receipt.json" "$out/decision.json" "$out/problem.json" "$out/waited.txt" "$out/exit"
: >"$out/step.env"
printf '### SWOOSH: %s\n\n' "${STEP_NAME:-step}" >"$out/summary.md"

note() { printf '%s\n' "$*" >>"$out/summary.md"; }
result() { printf '%s\n' "$1=$2" >>"$out/step.env"; }

# Texts of others must not become markup or a further line.
clean='def clean: gsub("[\\r\\n]+"; " ") | gsub("&"; "&amp;") | gsub("<"; "&lt;") | gsub("(?<c>[|`*_\\[\\]\\\\])"; "\\\(.c)");'
guards() {
    jq -r "$clean"' (.guard_outcomes // []) | if length == 0 then empty else
        "", "| guard | passed | reasons |", "| --- | --- | --- |",
        (.[] | "| \(.guard) | \(if .ok then "yes" else "**no**" end) | \(.reasons | map(clean) | join("; ")) |") end' "$1" >>"$out/summary.md"
}

finish() {
    result outcome "$2"
    cat "$out/summary.md" >&2
    exit "$1"
}

propose() {
    set -- --goal "${STEP_GOAL:-ci}" --uuid "${STEP_RUN:?names the run}-${STEP_NAME:?names the step}"
    if [ -n "${STEP_STARTED:-}" ]; then set -- "$@" --beat-at "$STEP_STARTED"; fi
    if [ -n "${STEP_INPUTS:-}" ]; then set -- "$@" --inputs "$STEP_INPUTS"; fi
    if [ -n "${STEP_PATIENCE:-}" ]; then set -- "$@" --wait "$STEP_PATIENCE"; fi
    code=0
    swoosh --json propose "$STEP_TRANSITION" "$@" >"$out/answer.json" || code=$?
    if [ "$code" -eq 0 ]; then
        mv "$out/answer.json" "$out/receipt.json"
        accepted
    elif [ -s "$out/answer.json" ]; then
        mv "$out/answer.json" "$out/problem.json"
        note "Refused: $(jq -r "$clean"' "**\(.code)**: \(.detail | clean)"' "$out/problem.json")"
        guards "$out/problem.json"
        if [ "$code" -eq 3 ]; then finish 3 time-over; else finish "$code" refused; fi
    else
        rm -f "$out/answer.json"
        note "Failed with exit code $code; the reason is in the log."
        finish "$code" failed
    fi
}

accepted() {
    project=$(jq -r .project "$out/receipt.json")
    index=$(jq -r .index "$out/receipt.json")
    result index "$index"
    result decision "$(jq -r .decision "$out/receipt.json")"
    note "Accepted: $(jq -r .transition "$out/receipt.json") in project $project, record $index."
    # The proposal counts, whether or not its decision can be read.
    if swoosh --json decision "$project/$index" >"$out/decision.json"; then
        guards "$out/decision.json"
    else
        rm -f "$out/decision.json"
        note "The decision record could not be read."
    fi
}

await() {
    set -- --timeout "${STEP_TIMEOUT:-15m}"
    if [ -n "${STEP_FAIL_ON:-}" ]; then set -- "$@" --fail-on "$STEP_FAIL_ON"; fi
    # The log shows the progress while it happens.
    {
        code=0
        swoosh wait "$STEP_WAIT" "$@" 2>&1 || code=$?
        echo "$code" >"$out/exit"
    } | tee "$out/waited.txt"
    code=$(cat "$out/exit")
    rm -f "$out/exit"
    note ""
    note "Waited for \`$STEP_WAIT\`:"
    note ""
    sed 's/^/    /' "$out/waited.txt" >>"$out/summary.md"
    case $code in
    0) ;;
    3) finish 3 time-over ;;
    4) finish 4 unreachable ;;
    *) finish "$code" failed ;;
    esac
}

if [ -n "${SWOOSH_SECRET:-}" ]; then
    SWOOSH_READ_AS=${SWOOSH_READ_AS:-env:SWOOSH_SECRET}
    export SWOOSH_READ_AS
fi
if [ -n "${STEP_TRANSITION:-}" ]; then propose; fi
if [ -n "${STEP_WAIT:-}" ]; then await; fi
finish 0 done
