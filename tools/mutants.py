#!/usr/bin/env python3
"""Plants the bugs of chaos/mutants.toml one at a time in a copy of the tree, and runs the tests.

After every bug it writes chaos/MUTANTS.md and chaos/mutants.json: the tests that caught each bug, and the bugs not tried
yet. Results are also kept in the target folder. An interrupted run resumes there, as long as the sources, the tests and
the bug are the same. Exits with 1 if a bug was not caught or could not be planted.

`tools/mutants.py NAME...` plants only those, without stored results, and writes no report. `--keep-caught` reuses results
of an earlier state of the tree (for example after a test was fixed); the report marks those bugs. `--check` only verifies
that each bug can be planted. `make lint` runs it, so that a change of the code cannot leave its bug behind.
"""

import ctypes
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or pathlib.Path.home() / ".cache/swoosh/target")
COPY = TARGET / "mutants-tree"
# The dependencies stay as they are; our own code is compiled as quickly as it can be.
OURS = ["swoosh", *(f"swoosh-{folder.name}" for folder in sorted((ROOT / "crates").iterdir()))]
QUICK = ["--config", "profile.dev.incremental=true", *(word for name in OURS for word in ("--config", f"profile.dev.package.{name}.opt-level=0"))]
LIMIT_S = 1800
STATE = TARGET / "mutants-state.json"
# A result is valid until one of these changes.
ASKED_OF = ("src/", "tests/", "statechart.yaml", "Cargo.toml", "Cargo.lock", "build.rs", "crates/", "fuzz/")
PR_SET_PDEATHSIG = 1


def copy_tree():
    """Copies the tree without ignored files; returns its hash. Unchanged files keep their time."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True)
    wanted = set(listed.stdout.splitlines())
    mark = hashlib.sha256()
    for name in sorted(wanted):
        source, there = ROOT / name, COPY / name
        if not source.is_file():
            continue
        content = source.read_bytes()
        if name.startswith(ASKED_OF):
            mark.update(f"{name}\0{len(content)}\0".encode() + content)
        if not (there.is_file() and there.read_bytes() == content):
            there.parent.mkdir(parents=True, exist_ok=True)
            # With the time of now: a bug that an interrupted run left planted was compiled after the source's own time.
            shutil.copy(source, there)
    for there in COPY.rglob("*"):
        if there.is_file() and str(there.relative_to(COPY)) not in wanted:
            there.unlink()
    return mark.hexdigest()[:16]


def leave_nothing_behind():
    """In the child: it dies with this program, and processes that the tests start can be interrupted."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def end(child):
    """Ends cargo, the compilers and the tests it started."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    child.communicate()


def run(command):
    """Output and exit of the command; none of its processes outlives this call. None: it timed out."""
    environment = {**os.environ, "RUST_BACKTRACE": "0"}
    with subprocess.Popen(
        command, cwd=COPY, env=environment, text=True, errors="replace", start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=leave_nothing_behind,
    ) as child:
        try:
            stdout, stderr = child.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            end(child)
            return None
        except BaseException:
            end(child)
            raise
    return stdout, stderr, child.returncode


def ask(kind, filters):
    """Whether the tests build, and which of them fail."""
    if kind == "integration":
        return ask_program(["--test", "integration"], filters)
    # `swoosh_journal::sides` is the filter `sides` in the tests of that crate.
    crates = {}
    for text in filters:
        name, _, inner = text.partition("::")
        crates.setdefault(name.replace("_", "-"), []).append(inner)
    failed = []
    for name, inner in crates.items():
        built, found = ask_program(["--package", name, "--package", "swoosh-features", "--lib"], [] if "" in inner else inner)
        if not built:
            return False, []
        failed += [f"{name.replace('-', '_')}::{test}" if "::" in test else test for test in found]
    return True, failed


def ask_program(which, filters):
    """Whether one test program builds, and which of its tests fail."""
    said = run(["cargo", "test", "--locked", *QUICK, *which, "--", *filters])
    if said is None:
        return True, [f"(the tests hung for {LIMIT_S} s)"]
    stdout, stderr, code = said
    built = "running " in stdout
    failed = sorted(set(re.findall(r"^test (\S+)(?: - should panic)? \.\.\. FAILED", stdout, re.M)))
    if built and code != 0 and not failed:
        failed = ["(the test program died)"]
    if not built:
        sys.stderr.write(stderr[-2000:])
    if built and re.search(r"^running 0 tests", stdout, re.M):
        sys.stderr.write(f"no test of {' '.join(which)} is named {' or '.join(filters)}\n")
    return built, failed


def plant(mutant):
    """Plants one bug and runs its tests; the result."""
    path = COPY / mutant["file"]
    sound = path.read_text()
    if sound.count(mutant["from"]) != 1:
        return {"result": "not planted", "why": f"`from` occurs {sound.count(mutant['from'])} times in {mutant['file']}"}
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


def misplaced(mutants):
    """Bugs that cannot be planted any longer: the code has moved on under them."""
    for mutant in mutants:
        path = ROOT / mutant["file"]
        count = path.read_text().count(mutant["from"]) if path.is_file() else 0
        if count != 1:
            yield f"{mutant['name']}: `from` occurs {count} times in {mutant['file']}; fix it in chaos/mutants.toml"


def mark_of(mutant):
    """Hash of a bug and its filters: if either changes, its stored result is invalid."""
    return hashlib.sha256(json.dumps(mutant, sort_keys=True).encode()).hexdigest()[:16]


def known(mutants, tree, keep_caught):
    """Results of earlier runs that are still valid."""
    state = json.loads(STATE.read_text()) if STATE.is_file() else {}
    found = {}
    for mutant in mutants:
        entry = state.get(mutant["name"])
        if entry and entry["bug"] == mark_of(mutant):
            caught = entry["result"]["result"] == "caught"
            if entry["tree"] == tree or (keep_caught and caught):
                found[mutant["name"]] = entry
    return found


def remember(entries):
    """Adds results to those in the target folder, atomically."""
    state = json.loads(STATE.read_text()) if STATE.is_file() else {}
    fresh = STATE.with_suffix(".new")
    fresh.write_text(json.dumps({**state, **entries}, indent=2) + "\n")
    fresh.replace(STATE)


def report(mutants, entries, tree):
    not_run = {"result": "NOT RUN"}
    results = [{"name": m["name"], "story": m["story"], **entries.get(m["name"], {"result": not_run})["result"]} for m in mutants]
    caught = sum(result["result"] == "caught" for result in results)
    unasked = sum(result["result"] == "NOT RUN" for result in results)
    rest = f", and {unasked} were not run" if unasked else ""
    earlier = [name for name, entry in entries.items() if entry["tree"] != tree]
    lines = [
        "# Planted bugs",
        "",
        f"{caught} of {len(results)} were caught{rest}. `make mutants` writes this page; chaos/mutants.toml holds the bugs.",
        "",
        "| bug | what it does | caught by |",
        "| --- | --- | --- |",
    ]
    for result in results:
        by = result.get("by") or [f"**{result['result']}** {result.get('why', '')}".strip()]
        shown = ", ".join(f"`{name}`" if not name.startswith(("(", "*")) else name for name in by[:3])
        more = f" and {len(by) - 3} more" if len(by) > 3 else ""
        lines.append(f"| {result['name']} | {result['story']} | {shown}{more} |")
    if earlier:
        lines += ["", f"Asked of an earlier state of the tree, and not again: {', '.join(earlier)}."]
    (ROOT / "chaos/MUTANTS.md").write_text("\n".join(lines) + "\n")
    (ROOT / "chaos/mutants.json").write_text(json.dumps(results, indent=2) + "\n")


def main():
    for ending in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(ending, lambda number, _frame: sys.exit(128 + number))
    listed = tomllib.loads((ROOT / "chaos/mutants.toml").read_text())["mutant"]
    flags = {word for word in sys.argv[1:] if word.startswith("-")}
    if flags - {"--check", "--keep-caught"}:
        print(__doc__.strip())
        sys.exit(0 if flags == {"--help"} else 2)
    wanted = [word for word in sys.argv[1:] if not word.startswith("-")]
    unknown = set(wanted) - {mutant["name"] for mutant in listed}
    if unknown:
        sys.exit(f"no such bug: {', '.join(sorted(unknown))}; chaos/mutants.toml lists them")
    mutants = [mutant for mutant in listed if not wanted or mutant["name"] in wanted]
    if stale := list(misplaced(mutants)):
        sys.exit("\n".join(stale))
    if "--check" in sys.argv:
        sys.exit(0)
    try:
        sys.exit(ask_all(mutants, bool(wanted)))
    finally:
        # The last built program has a bug; without it, the next build makes a sound one.
        for name in ("swoosh", "swoosh-lab"):
            (TARGET / "debug" / name).unlink(missing_ok=True)


def ask_all(mutants, alone):
    """Plants one after the other; whether something was found. Alone, nothing that is known counts, and nothing is reported."""
    tree = copy_tree()
    entries = {} if alone else known(mutants, tree, "--keep-caught" in sys.argv)
    # Those that only tests of the library are asked of come first: they take a third of the others' time.
    for number, mutant in enumerate(sorted(mutants, key=lambda mutant: "integration" in mutant), 1):
        began = time.monotonic()
        already = mutant["name"] in entries
        if not already:
            entries[mutant["name"]] = {"bug": mark_of(mutant), "tree": tree, "result": plant(mutant)}
            remember({mutant["name"]: entries[mutant["name"]]})
        result = entries[mutant["name"]]["result"]
        took = "known" if already else f"{time.monotonic() - began:.0f} s"
        print(f"{number}/{len(mutants)} {mutant['name']}: {result['result']} ({took}) {', '.join(result.get('by', []))[:160]}{result.get('why', '')}", flush=True)
        if not alone:
            report(mutants, entries, tree)
    return any(entry["result"]["result"] != "caught" for entry in entries.values())


if __name__ == "__main__":
    main()
