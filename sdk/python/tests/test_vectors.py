"""The vectors of the repository."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from conftest import vectors_folder
from swoosh.conformance import CHECKS


@pytest.mark.parametrize("name", CHECKS)
def test_the_vectors_hold(name: str) -> None:
    found = list(CHECKS[name](json.loads((vectors_folder() / f"{name}.json").read_bytes())))
    assert found
    assert [what for what, holds in found if not holds] == []


def test_the_runner_of_the_package_says_how_many_hold() -> None:
    command = [sys.executable, "-m", "swoosh", "vectors", str(vectors_folder())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "vectors hold" in done.stdout


def test_the_bytes_need_no_http_and_no_event_loop() -> None:
    code = "import sys, swoosh.protocol; print([name for name in ('httpx', 'asyncio', 'anyio') if name in sys.modules])"
    isolated = code.replace("swoosh.protocol", "importlib.util, types") + _WITHOUT_PACKAGE
    done = subprocess.run([sys.executable, "-c", isolated], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stdout


# The package itself imports both clients, so its `__init__` is left out here.
_WITHOUT_PACKAGE = """
package = types.ModuleType("swoosh")
package.__path__ = importlib.util.find_spec("swoosh").submodule_search_locations
others = ("httpx", "asyncio", "anyio", "swoosh")
sys.modules = {name: module for name, module in sys.modules.items() if not name.startswith(others)}
sys.modules["swoosh"] = package
before = set(sys.modules)
import swoosh.protocol
print([name for name in ('httpx', 'asyncio', 'anyio') if name in set(sys.modules) - before])
"""
