#!/usr/bin/env python3
"""Makes the release archive out of a built program, and beside it the chart, the SBOM and SHA256SUMS.

    dist/swoosh-VERSION-TARGET.tar.gz   bin/swoosh, manual pages, completions, documents, deploy files, dashboards, the SBOM
    dist/swoosh-VERSION.cdx.json        CycloneDX: every crate in the program, with its version, hash and licence
    dist/swoosh-CHART.tgz               the Helm chart, where Helm's engine can be installed
    dist/SHA256SUMS                     of all of them; `sha256sum --check SHA256SUMS`

The same program, commit and tools give the same archive, byte for byte. SWOOSH names the program, DIST the directory; SBOM names a finished
SBOM in place of the one that `cargo cyclonedx` makes. A program that was not built from a commit is refused unless UNRELEASED=1.
"""

import gzip
import hashlib
import io
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or pathlib.Path.home() / ".cache/swoosh/target")
SWOOSH = pathlib.Path(os.environ.get("SWOOSH") or TARGET / "release/swoosh")
DIST = pathlib.Path(os.environ.get("DIST") or ROOT / "dist")
DOCUMENTS = ["LICENSE", "README.md", "CHANGELOG.md", "SECURITY.md", "statechart.yaml"]
FOLDERS = ["config", "dashboards", "deploy", "docs", "openapi", "runbooks"]
SHELLS = {"bash": "swoosh.bash", "zsh": "_swoosh", "fish": "swoosh.fish"}
COMMIT = re.compile(r"[0-9a-f]{40}")


def say(arguments):
    return subprocess.run([SWOOSH, *arguments], check=True, stdout=subprocess.PIPE).stdout


def commit_time():
    """When the commit was made, in seconds: every file of the archive carries this time."""
    if epoch := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(epoch)
    asked = subprocess.run(["git", "-C", ROOT, "log", "-1", "--format=%ct"], check=True, stdout=subprocess.PIPE)
    return int(asked.stdout)


def sbom(path, when):
    if made := os.environ.get("SBOM"):
        shutil.copy(made, path)
        return
    # It writes beside Cargo.toml.
    name = "swoosh-sbom-" + str(os.getpid())
    written = ROOT / f"{name}.json"
    command = ["cargo", "cyclonedx", "--format", "json", "--no-build-deps", "--override-filename", name]
    try:
        subprocess.run(command, cwd=ROOT, check=True, env={**os.environ, "SOURCE_DATE_EPOCH": str(when)})
        document = json.loads(written.read_text())
    finally:
        written.unlink(missing_ok=True)
    # Remove the path of the build folder: it differs between machines, and archives must be reproducible.
    text = json.dumps(document, indent=1, sort_keys=True).replace(str(ROOT), ".")
    path.write_text(text + "\n")


def stage(folder, bill):
    """The content of the archive."""
    program = folder / "bin/swoosh"
    program.parent.mkdir(parents=True)
    shutil.copy(SWOOSH, program)
    if shutil.which("strip"):
        subprocess.run(["strip", "--strip-debug", program], check=True)
    program.chmod(0o755)
    say(["man", "--out", folder / "share/man/man1"])
    completions = folder / "share/completions"
    completions.mkdir(parents=True)
    for shell, name in SHELLS.items():
        (completions / name).write_bytes(say(["completions", shell]))
    # Only tracked files: a key beside the settings must not be released.
    tracked = subprocess.run(["git", "-C", ROOT, "archive", "HEAD", *DOCUMENTS, *FOLDERS], check=True, stdout=subprocess.PIPE).stdout
    subprocess.run(["tar", "--extract", "--directory", folder], input=tracked, check=True)
    shutil.copy(bill, folder / bill.name)


def archive(folder, path, when):
    """A tar of the folder that says nothing of the machine it was made on."""

    def plain(entry):
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        entry.mtime = when
        entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
        return entry

    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for entry in sorted(folder.rglob("*")):
            tar.add(entry, arcname=str(entry.relative_to(folder.parent)), recursive=False, filter=plain)
    with open(path, "wb") as file, gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=file, mtime=0) as packed:
        packed.write(data.getvalue())


def main():
    about = json.loads(say(["version", "--json"]))
    commit, version, target = about["commit"] or "", about["version"], about["target"]
    if not COMMIT.fullmatch(commit) and os.environ.get("UNRELEASED") != "1":
        print(f"the program was built from {commit or 'no commit'}; a release is built from a clean commit (`make dist`)", file=sys.stderr)
        return 1
    when = commit_time()
    shutil.rmtree(DIST, ignore_errors=True)
    DIST.mkdir(parents=True)
    bill = DIST / f"swoosh-{version}.cdx.json"
    sbom(bill, when)
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch) / f"swoosh-{version}-{target}"
        stage(folder, bill)
        archive(folder, DIST / f"{folder.name}.tar.gz", when)
    if subprocess.run([ROOT / "tools/chart.py", "--package", DIST], stdout=subprocess.DEVNULL).returncode != 0:
        print("skipped: the chart's archive (Helm's engine cannot be installed here); deploy/helm/swoosh is in the release archive", flush=True)
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(DIST.iterdir())]
    (DIST / "SHA256SUMS").write_text("".join(sums))
    print(f"made {DIST}:\n  " + "\n  ".join(path.name for path in sorted(DIST.iterdir())))
    return 0


sys.exit(main())
