#!/usr/bin/env python3
"""Plants the bugs of chaos/mutants.toml one at a time in a copy of the tree, and asks the tests.

Writes chaos/MUTANTS.md and chaos/mutants.json: who caught what. Exits with 1 when a bug was not caught or could not be
planted. `tools/mutants.py NAME...` plants those alone and writes nothing.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or pathlib.Path.home() / ".cache/swoosh/target")
COPY = TARGET / "mutants-tree"
# The dependencies stay as they are; our own code is compiled as quickly as it can be.
QUICK = ["--config", "profile.dev.package.swoosh.opt-level=0", "--config", "profile.dev.incremental=true"]
LIMIT_S = 1800


def copy_tree():
    """The tree as it is, without what is ignored; files that did not change keep their time."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True)
    wanted = set(listed.stdout.splitlines())
    for name in wanted:
        source, there = ROOT / name, COPY / name
        if source.is_file() and not (there.is_file() and there.read_bytes() == source.read_bytes()):
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, there)
    for there in COPY.rglob("*"):
        if there.is_file() and str(there.relative_to(COPY)) not in wanted:
            there.unlink()


def ask(kind, filters):
    """Whether the tests build, and which of them fail."""
    which = ["--lib"] if kind == "lib" else ["--test", "integration"]
    command = ["cargo", "test", "--locked", *QUICK, *which, "--", *filters]
    environment = {**os.environ, "RUST_BACKTRACE": "0"}
    try:
        done = subprocess.run(command, cwd=COPY, capture_output=True, text=True, env=environment, timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        return True, [f"(the tests hung for {LIMIT_S} s)"]
    built = "running " in done.stdout
    failed = sorted(set(re.findall(r"^test (\S+)(?: - should panic)? \.\.\. FAILED", done.stdout, re.M)))
    if built and done.returncode != 0 and not failed:
        failed = ["(the test program died)"]
    if not built:
        sys.stderr.write(done.stderr[-2000:])
    return built, failed


def plant(mutant):
    """Plants one bug; says what became of it."""
    path = COPY / mutant["file"]
    sound = path.read_text()
    if sound.count(mutant["from"]) != 1:
        return {"result": "not planted", "why": f"`from` stands {sound.count(mutant['from'])} times in {mutant['file']}"}
    path.write_text(sound.replace(mutant["from"], mutant["to"]))
    try:
        for kind in ("lib", "integration"):
            if mutant.get(kind):
                built, failed = ask(kind, mutant[kind])
                if not built:
                    return {"result": "not planted", "why": "it does not compile"}
                if failed:
                    return {"result": "caught", "by": failed}
        return {"result": "NOT CAUGHT"}
    finally:
        path.write_text(sound)


def report(results):
    caught = sum(result["result"] == "caught" for result in results)
    lines = [
        "# Planted bugs",
        "",
        f"{caught} of {len(results)} were caught. `make mutants` writes this page; chaos/mutants.toml holds the bugs.",
        "",
        "| bug | what it does | caught by |",
        "| --- | --- | --- |",
    ]
    for result in results:
        by = result.get("by") or [f"**{result['result']}** {result.get('why', '')}".strip()]
        shown = ", ".join(f"`{name}`" if not name.startswith(("(", "*")) else name for name in by[:3])
        more = f" and {len(by) - 3} more" if len(by) > 3 else ""
        lines.append(f"| {result['name']} | {result['story']} | {shown}{more} |")
    (ROOT / "chaos/MUTANTS.md").write_text("\n".join(lines) + "\n")
    (ROOT / "chaos/mutants.json").write_text(json.dumps(results, indent=2) + "\n")


def main():
    mutants = tomllib.loads((ROOT / "chaos/mutants.toml").read_text())["mutant"]
    wanted = sys.argv[1:]
    unknown = set(wanted) - {mutant["name"] for mutant in mutants}
    if unknown:
        sys.exit(f"no such bug: {', '.join(sorted(unknown))}; chaos/mutants.toml lists them")
    mutants = [mutant for mutant in mutants if not wanted or mutant["name"] in wanted]
    copy_tree()
    results = []
    for number, mutant in enumerate(mutants, 1):
        began = time.monotonic()
        result = {"name": mutant["name"], "story": mutant["story"], **plant(mutant)}
        results.append(result)
        took = time.monotonic() - began
        print(f"{number}/{len(mutants)} {mutant['name']}: {result['result']} ({took:.0f} s) {', '.join(result.get('by', []))[:160]}{result.get('why', '')}", flush=True)
    if not wanted:
        report(results)
    sys.exit(any(result["result"] != "caught" for result in results))


if __name__ == "__main__":
    main()
