"""One verification through a processor, in a process of its own whose environment leads to the audio server.

Usage: python through.py RUN CARD.toml SERIAL NAME...; prints a line of JSON for each name.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sweetspot.calibrate import run
from sweetspot.calibrate.design import Limits
from sweetspot.calibrate.verify import processor as deployed
from sweetspot.rigs.load import open_rig
from sweetspot.rigs.rig_file.description import parse

NOON = datetime(2026, 3, 4, 12, 0, 0, tzinfo=UTC)


@contextmanager
def quiet(_title: str, _total: int) -> Iterator[Callable[[str], None]]:
    yield lambda _note: None


def ask(move: str) -> None:
    raise AssertionError(move)


def main(here: Path, card: Path, serial: str, names: list[str]) -> None:
    rig, fitted = parse(card.read_text(), folder=card.parent), run.fitted_of(here)
    with open_rig(rig, serial=serial, now=lambda: NOON) as opened:
        for name in names:
            chosen = deployed.choose(name, fitted.filters, rig)
            run.measure_verification(here, opened, fitted, NOON, ask=ask, track=quiet, processor=chosen)
            found = run.judge(here, fitted, Limits())
            heard = {m.name: [m.unit, m.heard] for m in found.metrics}
            print(json.dumps({"name": name, "verdict": found.verdict, "reasons": found.reasons, "heard": heard}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4:])
