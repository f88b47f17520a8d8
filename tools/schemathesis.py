#!/usr/bin/env python3
"""Runs Schemathesis against a node by the OpenAPI description that it serves, then compares the answers with the log.

The node runs on a temporary directory and an address with closed reads, so reads are signed as well. Exits with 1 if an answer
breaks the description, if the log holds a record that was not acknowledged, or if it does not verify.
If Python's packages cannot be installed, it prints that and skips the run. SWOOSH names the program; SEED and EXAMPLES (for each route) are bounds.
"""

import contextlib
import ctypes
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import venv

ROOT = pathlib.Path(__file__).resolve().parent.parent
HOOKS = ROOT / "fuzz/schemathesis"
# It signs what is generated.
SDK = ROOT / "sdk/python/src"
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or pathlib.Path.home() / ".cache/swoosh/target")
SWOOSH = os.environ.get("SWOOSH") or str(TARGET / "debug/swoosh")
SEED, EXAMPLES = os.environ.get("SEED", "1"), os.environ.get("EXAMPLES", "60")
# Every route; then many more well-formed proposals, for the code behind the parser.
PASSES = [[], ["--include-path", "/transition", "--mode", "positive", "--phases", "fuzzing", "--max-examples", str(int(EXAMPLES) * 8)]]
READY_S = 60
PR_SET_PDEATHSIG = 1


def environment():
    """Python with the packages, kept beside the build products. Ends with a word where there are none."""
    home = TARGET / "schemathesis-venv"
    wanted = (HOOKS / "requirements.txt").read_text()
    installed = home / "installed.txt"
    if not (installed.is_file() and installed.read_text() == wanted):
        print("installing Schemathesis, a minute", flush=True)
        try:
            venv.create(home, clear=True, with_pip=True)
            command = [home / "bin/pip", "install", "--quiet", "--disable-pip-version-check", "-r", HOOKS / "requirements.txt"]
            subprocess.run(command, check=True, timeout=600)
        except (OSError, subprocess.SubprocessError) as error:
            print(f"skipped: schemathesis (its packages could not be installed: {error}; pip install schemathesis)")
            sys.exit(0)
        installed.write_text(wanted)
    return home / "bin/python"


def say(*words, **more):
    return subprocess.run([SWOOSH, *map(str, words)], check=True, capture_output=True, text=True, **more).stdout


def settle(run):
    """Keys, a license and settings, as README.md tells."""
    keys = [say("keygen", "--out", run / f"{name}.key").strip() for name in ("operator", "platform", "legacy")]
    operator, platform, legacy = keys
    license_fact = say("fact", "sign", "--kind", "license", "--key", run / "platform.key", "--cluster", "swoosh", "--valid-for", "30d",
                       '{"id":"trial","scopes":["swoosh"]}')
    say("fact", "put", run / "facts.json", "-", input=license_fact)
    settings = {
        "cluster": "swoosh",
        "identities": {
            operator: {"name": "operator", "roles": ["operator", "human", "worker", "agent", "voter", "reader"]},
            legacy: {"name": "legacy", "roles": ["agent"], "delegate": {"op_classes": ["council"]}},
        },
        "facts": {
            "file": str(run / "facts.json"),
            "sources": {kind: [platform] for kind in ("license", "tooling", "capacity", "health")},
        },
        # No server listens on the discard port.
        "migration": {
            "upstream": "http://127.0.0.1:9",
            "listen": "127.0.0.1:0",
            "timeout_ms": 1000,
            "callers": {"legacy": {"key": str(run / "legacy.key")}},
        },
        # One peer sends all requests, so the limits against floods are raised.
        "limits": {"failures": 1_000_000, "failures_forgiven_per_second": 1_000_000},
    }
    (run / "swoosh.yaml").write_text(json.dumps(settings))


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextlib.contextmanager
def node(run):
    """A node that is stopped as an operator stops it."""
    errors = (run / "errors.log").open("w+")
    command = [SWOOSH, "serve", "--config", run / "swoosh.yaml", "--data", run / "data", "--listen", "0.0.0.0:0"]
    with (run / "node.log").open("w") as log:
        child = subprocess.Popen(command, stdout=log, stderr=errors, cwd=run, preexec_fn=die_with_parent)
    try:
        yield address(child, run / "errors.log")
    finally:
        child.terminate()
        code = child.wait(60)
    if code != 0:
        sys.exit(f"the node ended with {code}:\n{(run / 'errors.log').read_text()[-2000:]}")


def address(child, errors):
    until = time.monotonic() + READY_S
    while time.monotonic() < until and child.poll() is None:
        found = re.search(r"listening on http://[^:]+:(\d+)", errors.read_text())
        if found:
            return f"http://127.0.0.1:{found[1]}"
        time.sleep(0.05)
    sys.exit(f"the node did not come up:\n{errors.read_text()[-2000:]}")


def let_loose(url, run, words):
    """Whether Schemathesis found something."""
    command = [TARGET / "schemathesis-venv/bin/schemathesis", "--config-file", HOOKS / "schemathesis.toml", "run",
               run / "openapi.json", "--url", url, "--seed", SEED, "--max-examples", EXAMPLES, "--continue-on-failure", *words]
    variables = {"SWOOSH_URL": url, "SWOOSH_RUN": str(run), "PYTHONPATH": f"{HOOKS}:{SDK}", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=HOOKS, env={**os.environ, **variables}, preexec_fn=die_with_parent).returncode != 0


def ask(url, run, path):
    """The answer to a signed read."""
    import requests
    from wire import Key, SignedRead

    answer = requests.get(url + path, auth=SignedRead(Key(run / "operator.key", "swoosh")), timeout=30)
    answer.raise_for_status()
    return answer


def records(url, run):
    """The whole log."""
    entries, start = [], 1
    while page := ask(url, run, f"/wal?from={start}&limit=100").json()["records"]:
        entries += page
        start = page[-1]["record"]["index"] + 1
    return entries


def strange_facts(before, after, answers, node_key):
    """Facts in the table that were not there before, not accepted in this run, and not signed by the node itself."""
    taken = {entry["answer"]["hash"] for entry in answers if entry["path"] == "/facts" and entry["status"] == 200}
    known = taken | {fact["hash"] for fact in before}
    for fact in after:
        if fact["hash"] not in known and fact["source"] != node_key:
            yield f"a fact is believed that was never taken: {json.dumps(fact)[:500]}"


def complaints(entries, answers, node_key):
    """Differences between the log and the answers. The node's own records (such as a license change) have no caller."""
    given = {entry["answer"]["index"]: entry["answer"] for entry in answers if entry["path"] == "/transition" and entry["status"] == 202}
    by_index = {entry["record"]["index"]: entry["record"] for entry in entries}
    for index, receipt in given.items():
        record = by_index.get(index)
        if record is None or record["state_post_hash"] != receipt["state_post_hash"]:
            yield f"the receipt of record {index} was given, and the log holds {record}"
    for index, record in by_index.items():
        if index not in given and record["signer"] != node_key:
            yield f"record {index} is in the log, and no answer acknowledged it: {json.dumps(record)[:500]}"


def main():
    sys.path[:0] = [str(HOOKS), str(SDK)]
    sys.dont_write_bytecode = True
    with tempfile.TemporaryDirectory(prefix="swoosh-schemathesis-") as temporary:
        run = pathlib.Path(temporary)
        settle(run)
        with node(run) as url:
            before = ask(url, run, "/facts").json()["facts"]
            (run / "openapi.json").write_bytes(ask(url, run, "/openapi.json").content)
            broken = any([let_loose(url, run, words) for words in ([sys.argv[1:]] if sys.argv[1:] else PASSES)])
            entries = records(url, run)
            after = ask(url, run, "/facts").json()["facts"]
            node_key = ask(url, run, "/health").json()["node"]
        answers = [json.loads(line) for line in (run / "answers.jsonl").read_text().splitlines()]
        found = [*complaints(entries, answers, node_key), *strange_facts(before, after, answers, node_key)]
        for words in (("wal", "verify"), ("replay", "--reguard")):
            done = subprocess.run([SWOOSH, *words, "--data", run / "data"], capture_output=True, text=True)
            if done.returncode != 0:
                found.append(f"swoosh {' '.join(words)} failed:\n{done.stdout}{done.stderr}")
    count = {}
    for entry in answers:
        code = (entry["answer"] or {}).get("code", "") if isinstance(entry["answer"], dict) else ""
        what = f"{entry['path']} {entry['status']} {code}".strip()
        count[what] = count.get(what, 0) + 1
    print("\n".join(f"{number:6} {what}" for what, number in sorted(count.items(), key=lambda pair: -pair[1])))
    print(f"{len(answers)} documents were posted, {len(entries)} records are in the log")
    if not any(what.startswith("/transition 202") for what in count):
        found.append("no proposal was accepted: the signing hook does not meet the wire contract")
    print("\n".join(found))
    sys.exit(bool(found) or broken)


if __name__ == "__main__":
    python = environment()
    if pathlib.Path(sys.prefix) != python.parent.parent:
        os.execv(python, [str(python), *sys.argv])
    main()
