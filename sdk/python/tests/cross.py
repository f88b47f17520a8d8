"""A step of the cross test: python cross.py STEP_FILE

It verifies the receipts that other SDKs left, proves the state of the project, proposes one transition, and leaves its receipt.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from swoosh import Accepted, Client, Draft, Identity
from swoosh.protocol import check_receipt, parse

step = json.loads(Path(sys.argv[1]).read_text())
for file in sorted(Path(step["receipts"]).iterdir()):
    check_receipt(parse(file.read_bytes()), step["cluster"], step["node"])
with Client(step["url"], identity=Identity.load(step["key"]), node=step["node"], cluster=step["cluster"]) as node:
    if step["is_known"]:
        node.state(step["project"], "council", "execution", "ingestion", "environment", prove=True)
    done = node.propose(Draft(step["transition"], step["inputs"], project=step["project"], goal="cross"))
    if not isinstance(done, Accepted):
        sys.exit(f"{step['transition']} is held")
    Path(step["receipts"], f"{done.receipt.index:04}-python.json").write_bytes(done.body)
