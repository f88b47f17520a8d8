#!/usr/bin/env python3
"""Pins the images that the deploy files name by tag to their digests: `name:tag` becomes `name:tag@sha256:…`.

A digest is only known to the registry, so that this needs `docker` (with buildx) and a network; it changes the files in place. `--check`
changes nothing and exits with 1 where a reference has no digest: for a release that is deployed from these files.
"""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Where images are named, and how: the reference is the group.
PLACES = {
    "deploy/docker/Dockerfile": re.compile(r"^FROM (?P<image>\S+:\S+)", re.MULTILINE),
    "deploy/docker/compose.yaml": re.compile(r"^    image: (?P<image>\S+)", re.MULTILINE),
}
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def digest(image):
    """The digest of the tag's index, which covers every platform."""
    command = ["docker", "buildx", "imagetools", "inspect", image, "--format", "{{.Manifest.Digest}}"]
    try:
        said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"the digest of {image} is not known: {error}; docker with buildx and a way to the registry are needed")
    if not DIGEST.fullmatch(said):
        sys.exit(f"docker says {said!r} for {image}, which is no digest")
    return said


def main():
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        sys.exit("usage: pin_images.py [--check]")
    loose = []
    for name, pattern in PLACES.items():
        path = ROOT / name
        text = path.read_text()
        images = [image for image in pattern.findall(text) if "@" not in image]
        loose += [f"{name}: {image}" for image in images]
        if check:
            continue
        for image in dict.fromkeys(images):
            pinned = f"{image}@{digest(image)}"
            text = re.sub(rf"(?<=\s){re.escape(image)}(?=\s)", pinned, text)
            print(f"{name}: {pinned}")
        path.write_text(text)
    if check and loose:
        print("without a digest (`make pin-images` looks them up):\n  " + "\n  ".join(loose))
        return 1
    return 0


sys.exit(main())
