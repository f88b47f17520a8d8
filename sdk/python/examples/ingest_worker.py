"""Works on external effects: python ingest_worker.py KEY_FILE OUTCOMES_FILE

OUTCOMES_FILE has the inputs of each effect's success, by project, as the work would give them. The key of an outcome follows
from the effect, so a worker that was killed gets the first receipt for a repeat. Several workers may run; one outcome counts.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any

from swoosh import Client, Draft, Held, Identity, Rejected
from swoosh._api import EffectView
from swoosh._chart import FAILURES, SUCCESSES
from swoosh.errors import GaveUp, Unreachable

PAUSE_S = 0.3


def work(effect: EffectView, outcomes: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The outcome of an effect: transition and inputs. A failure names its detail."""
    try:
        return SUCCESSES[effect.effect][0], outcomes[effect.project]
    except KeyError as error:
        return FAILURES[effect.effect][0], {"effect": effect.id, "failure": {"detail": f"there is no outcome of {error}"}}


def report(node: Client, effect: EffectView, transition: str, given: dict[str, Any]) -> bool:
    """Proposes an outcome; whether the effect needs no more work."""
    uuid = hashlib.sha256(effect.id.encode()).hexdigest()[:32]
    draft = Draft(transition, given, project=effect.project, goal=effect.effect, beat=0, uuid=uuid)
    try:
        done = node.propose(draft, timeout=60)
        print(transition, effect.id, "is held" if isinstance(done, Held) else done.receipt.index, flush=True)
    except Rejected as error:
        print(error, file=sys.stderr, flush=True)
        return False
    return True


def main(key_file: str, outcomes_file: str) -> None:
    """Runs until it is ended."""
    outcomes, ended = json.loads(Path(outcomes_file).read_text()), set[str]()
    with Client(identity=Identity.load(key_file)) as node:
        while True:
            try:
                mine = [effect for effect in node.effects() if effect.mode == "external" and effect.effect == "index"]
                for effect in mine:
                    if effect.id not in ended and report(node, effect, *work(effect, outcomes)):
                        ended.add(effect.id)
            except (Unreachable, GaveUp, Rejected) as error:
                print(error, file=sys.stderr, flush=True)
            time.sleep(PAUSE_S)


if __name__ == "__main__":
    main(*sys.argv[1:])
