"""`python -m swoosh vectors DIR` checks this package against the vectors of SWOOSH."""

from __future__ import annotations

import sys
from pathlib import Path

from swoosh.conformance import run


def main(words: list[str]) -> int:
    """Prints what does not hold; the exit code is 1 where there is such."""
    if len(words) != 2 or words[0] != "vectors":
        print("usage: python -m swoosh vectors DIR", file=sys.stderr)
        return 2
    held, failed = run(Path(words[1]))
    print(*failed, f"{held} of {held + len(failed)} vectors hold", sep="\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
