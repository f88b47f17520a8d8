"""Keys: files, variables, and that nothing shows them (rules 8 and 11)."""

from __future__ import annotations

import copy
import logging
import os
import pickle
import traceback
from pathlib import Path

import pytest

from swoosh import Client, Identity, errors
from swoosh._settings import settings

SECRET = "hmmm:secret:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc"


def key_file(folder: Path, mode: int = 0o600, text: str = SECRET + "\n") -> Path:
    """A key file."""
    file = folder / "a.key"
    file.write_text(text)
    file.chmod(mode)
    return file


def test_a_secret_is_in_no_representation(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    identity = Identity.load(key_file(tmp_path))
    caplog.set_level(logging.DEBUG)
    client = Client("http://127.0.0.1:1", identity=identity, cluster="test")
    logging.getLogger("swoosh").warning("%r %s %r %r", identity, identity, client, client.engine.settings)
    shown = caplog.text + repr(identity) + str(client.engine.settings) + repr(client)
    assert identity.public in shown
    assert "BwcHBw" not in shown
    with pytest.raises(TypeError):
        pickle.dumps(identity)
    with pytest.raises(TypeError):
        copy.deepcopy(identity)


@pytest.mark.parametrize(
    "text", ["", SECRET[:-1], SECRET * 2, "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc", "x" * 5000, "\u00e4"]
)
def test_a_file_that_is_no_key_is_refused_and_not_quoted(tmp_path: Path, text: str) -> None:
    with pytest.raises(errors.KeyFormError) as found:
        Identity.load(key_file(tmp_path, text=text))
    assert "BwcHBw" not in "".join(traceback.format_exception(found.value)).replace(repr(text), "")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o610])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(errors.KeyFormError, match="chmod 600"):
        Identity.load(key_file(tmp_path, mode))


def test_a_pipe_is_refused_without_a_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(errors.KeyFormError, match="regular"):
        Identity.load(tmp_path / "pipe")


def test_the_variables_of_the_command_are_read(tmp_path: Path) -> None:
    known = {
        "SWOOSH_URL": "https://node:7400/",
        "SWOOSH_CLUSTER": "prod",
        "SWOOSH_KEY": str(key_file(tmp_path)),
        "SWOOSH_CA": "ca.pem",
    }
    found = settings(None, known)
    assert (found.addresses, found.cluster, found.tls.ca) == (("https://node:7400",), "prod", "ca.pem")
    assert found.identity is not None
    by_name = settings(None, {"SWOOSH_KEY": "env:CI_KEY", "CI_KEY": SECRET})
    assert by_name.identity is not None and by_name.identity.public == found.identity.public
    with key_file(tmp_path).open("rb") as opened:
        by_number = settings(None, {"SWOOSH_READ_AS": f"fd:{opened.fileno()}"})
    assert by_number.reader is not None and by_number.identity is None
    assert settings("http://127.0.0.1:1", {"SWOOSH_URL": "http://other:1"}).addresses == ("http://127.0.0.1:1",)


@pytest.mark.parametrize(
    "address", ["", "127.0.0.1:7400", "ftp://node", "http://", "http://a:b@node", "http://node/?x=1", "http://node#x"]
)
def test_addresses_are_http_without_anything_around(address: str) -> None:
    with pytest.raises(errors.FormError):
        settings([address], {})
