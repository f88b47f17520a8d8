#!/usr/bin/env python3
"""Checks pins, documents and .gitignore. A thin caller of `swoosh upstreams validate`."""

import os
import pathlib
import sys

os.chdir(pathlib.Path(__file__).resolve().parent.parent)
program = os.environ.get("SWOOSH", "swoosh")
try:
    os.execvp(program, [program, "upstreams", "validate", *sys.argv[1:]])
except FileNotFoundError:
    sys.exit(f"{program} is not installed, or not in PATH; run `make validate`, or let SWOOSH name the program")
