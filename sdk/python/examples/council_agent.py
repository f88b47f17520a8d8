"""A candidate and member of a council: python council_agent.py KEY_FILE PROJECT VOTES_FOLDER

It votes for the member set that follows from the proven state, hands its vote to the others through a folder, and proposes
the certificate once there is a quorum. As a member it approves plans, and hands the project on when enough members did. It
may be killed at any moment: the key of an approval follows from the record that it answers.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from swoosh import Client, Draft, Identity, Rejected, inputs
from swoosh._api import StateAnswer
from swoosh._model import Inputs
from swoosh.errors import GaveUp, Unreachable

PAUSE_S = 0.3
LOST_RACES = {"stale_head", "not_enabled", "idem_key_conflict"}


def decide(plan_hash: str) -> bool:
    """Whether the member approves a plan. Read the plan and its evidence here."""
    return plan_hash.startswith("sha256-")


def quorum(rule: str, candidates: int) -> int:
    """The size of a quorum."""
    return candidates * 2 // 3 + 1 if rule == "bft" else candidates // 2 + 1


class Agent:
    """One identity in one project."""

    def __init__(self, node: Client, identity: Identity, project: str, votes: Path) -> None:
        self.node, self.identity, self.project, self.votes = node, identity, project, votes

    def step(self) -> None:
        """Does what the present state asks of this identity."""
        state = self.node.state(self.project, "council", "execution", "epoch", prove=True)
        council, execution = state.projection["council"], state.projection["execution"]
        if council["phase"] == "ELECT" and self.identity.public in council["candidates"]:
            self.elect(council)
        elif execution["phase"] == "REVIEW" and self.identity.public in council["members"]:
            self.review(state, execution, state.projection["epoch"]["council"])

    def elect(self, council: Mapping[str, Any]) -> None:
        """Votes, and proposes the certificate if the votes of the folder are a quorum."""
        election = self.node.election(self.project)
        folder = self.votes / f"{election.council_epoch}-{election.member_set_hash}"
        folder.mkdir(parents=True, exist_ok=True)
        mine = folder / f"{self.identity.public.removeprefix('hmmm:pubkey:')}.json"
        if not mine.exists():
            # Renamed, so that no other agent reads half of it.
            half = mine.with_suffix(".half")
            half.write_text(json.dumps(election.vote(self.identity)))
            half.rename(mine)
        votes = [json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))]
        if len(votes) >= quorum(council["rules"]["quorum"], len(council["candidates"])):
            certificate = inputs.CouncilQuorumCert(
                members=election.members, member_set_hash=election.member_set_hash, votes=votes
            )
            self.propose(certificate, head=election.head, only_on_head=True)

    def review(self, state: StateAnswer, execution: Mapping[str, Any], epoch: int) -> None:
        """Approves the plan, and hands the project on after the last approval."""
        bound = {"plan_hash": execution["plan_hash"], "beat": execution["beat"], "rework_round": execution["rework_round"]}
        approvals = {
            member
            for member, given in execution["approvals"].items()
            if given["council_epoch"] == epoch and {name: given[name] for name in bound} == bound
        }
        if self.identity.public not in approvals and decide(execution["plan_hash"]):
            entered = self.entered_review(state.index)
            name = f"{self.project}\n{entered['index']}\n{execution['rework_round']}\n{epoch}\n{self.identity.public}"
            uuid = hashlib.sha256(name.encode()).hexdigest()[:32]
            approval = inputs.ExecutionApprove(**bound, council_epoch=epoch)
            self.propose(approval, goal="approve", uuid=uuid, at=entered["timestamp"])
        elif len(approvals) >= execution["approval_threshold"]:
            self.propose(inputs.ExecutionApprovalsThreshold(), head=state.hash, only_on_head=True)

    def entered_review(self, index: int) -> dict[str, Any]:
        """The last record with which the project entered REVIEW."""
        found: dict[str, Any] = {}
        for entry in self.node.records(self.project, max(1, index - 5_000)):
            if entry.record.transition == "Execution_BeatReviewGate":
                found = {"index": entry.record.index, "timestamp": entry.record.timestamp}
        return found

    def propose(self, typed: Inputs, **more: Any) -> None:
        """Proposes. Another agent may have been faster, which is no error."""
        try:
            done = self.node.propose(Draft(typed.TRANSITION, typed, project=self.project, **more), timeout=30)
            print(typed.TRANSITION, getattr(getattr(done, "receipt", None), "index", "held"), flush=True)
        except Rejected as error:
            if error.code not in LOST_RACES:
                print(error, file=sys.stderr, flush=True)


def main(key_file: str, project: str, votes: str) -> None:
    """Runs until it is ended."""
    identity = Identity.load(key_file)
    with Client(identity=identity) as node:
        agent = Agent(node, identity, project, Path(votes))
        while True:
            try:
                agent.step()
            except (Unreachable, GaveUp, Rejected) as error:
                print(error, file=sys.stderr, flush=True)
            time.sleep(PAUSE_S)


if __name__ == "__main__":
    main(*sys.argv[1:])
