"""What a listener gets of four ready-made units in free field, beside what is asked for; exit code 1 if not all of it.

``python tests/bench/image_goals.py DIR`` takes the newest run below ``DIR/<rig>/runs/SN-1`` for each rig; without DIR
the virtual units are measured first, in some minutes. Each session is fitted anew with the design as it is now; nothing
in DIR is written. Figures are of the responses measured at the scoring heads, which the design never saw.

Azimuths are beside those of the reference pair at the same heads. ITD is that of a hard-panned side in one ERB band, in
percent of the pair's, mean over heads; "allowed" is what the same limit of effort and the same errors of the paths give
once no target holds the design back.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from sweetspot.calibrate import run as steps
from sweetspot.calibrate.auditory import arms as ways
from sweetspot.calibrate.auditory import assessment, erb_bands, grid_of, interaural_cues
from sweetspot.calibrate.auditory import run as auditory
from sweetspot.calibrate.auditory.figures import direct_spectra
from sweetspot.calibrate.design import CrosstalkDesign, Design
from sweetspot.calibrate.plant import Fitted, corrected
from sweetspot.measure import folder, plan
from sweetspot.measure.run import measure
from sweetspot.measure.session import Session
from sweetspot.rigs.layout import mirror_pairs
from sweetspot.rigs.load import find, open_rig
from sweetspot.rigs.rig_file import read
from sweetspot.rigs.units import Float

RIGS = ("desk", "round", "soundbar", "puck")
UNIT = "SN-1"
ITD_HZ = (250.0, 350.0, 450.0)
SIDES = ("left", "right")
NO_TARGET = Design(crosstalk=CrosstalkDesign(target_db=((100.0, 60.0), (12000.0, 60.0))))
"""A target beyond every reach: the limit of effort and the errors of the paths decide alone."""

BALANCE_DEG, WIDTH_DEG, AZIMUTH_DEG, ITD_PERCENT, MUSIC_DB, SPEECH_DB, TONE_DB = 1.0, 54.0, 4.0, 85.0, 5.0, 1.5, 1.2
"""What is asked for: ITD (from 350 Hz on) and music of the desk alone, balance of units that mirror themselves."""


@dataclass(frozen=True, slots=True)
class Goal:
    """One figure beside what is asked for: at most, or at least, so much."""

    name: str
    value: float
    limit: float
    least: bool = False

    @property
    def reached(self) -> bool:
        """Whether it is held."""
        return self.value >= self.limit if self.least else self.value <= self.limit

    @property
    def text(self) -> str:
        """One line."""
        sign = ">=" if self.least else "<="
        return f"    {self.name:<28}{self.value:7.2f} {sign} {self.limit:<5g} {'' if self.reached else 'NOT '}reached"


def run_of(name: str, runs: Path) -> Path:
    """The newest measured run of a rig."""
    found = sorted((runs / name / "runs" / UNIT).glob("*/session.h5"))
    if not found:
        print(
            f"{runs / name / 'runs' / UNIT}: no run with a session.h5; measure one, or leave DIR out", file=sys.stderr
        )
        raise SystemExit(2)
    return found[-1].parent


def measured(name: str, runs: Path) -> Path:
    """A session of one virtual unit."""
    description = read(find(name))
    here = folder.new(runs / name / "runs", UNIT, description, datetime.now(UTC))
    with open_rig(description, serial=UNIT) as lab, Session.resume(here / "session.h5") as session:
        for which in plan.SETS:
            measure(lab, session, plan.make(lab.description, which), ask=lambda move: None, step=lambda note: None)
    return here


def delays(run: Path, each: tuple[Fitted, ...]) -> tuple[Float, ...]:
    """ITD of hard left and hard right ``(frequency, side)`` at :data:`ITD_HZ` for each fit, percent of the pair's."""
    with Session.read(run / "session.h5") as session:
        rig, ears = session.rig(), session.responses("ears")
    scored = auditory.scored(corrected(ears, each[0].ears.gains) if each[0].ears else ears)
    pair = assessment.others_of(rig, scored, each[0].filters, None, auditory.model_of(rig))[2]
    wanted = _itd(pair)
    return tuple(100.0 * _itd(ways.calibrated(scored, e.filters)) / wanted for e in each)


def _itd(arm: ways.Arm) -> Float:
    """Mean over heads ``(frequency, side)``, s."""
    spectra, f = direct_spectra(arm)[:, [0, -1]], grid_of(arm.fs)
    return np.stack([interaural_cues(spectra, erb_bands(f, 1, hz, hz)).itd_s[..., 0].mean(axis=0) for hz in ITD_HZ])


def figures(run: Path) -> dict[str, float]:
    """All figures of one unit."""
    made, bound = steps.fitted(run, Design()), steps.fitted(run, NO_TARGET)
    found = steps.image(run, made)
    own, pair = found.arms["calibrated"], found.arms["reference"]
    off = np.degrees(np.sqrt(np.mean((own.azimuth - pair.azimuth)[:, [0, -1]] ** 2, axis=0)))
    itd, allowed = delays(run, (made, bound))
    with Session.read(run / "session.h5") as session:
        at = np.array([d.at for d in session.rig().driver])
    mirrored = 2 * len(mirror_pairs(at)) == int(np.sum(np.abs(at[:, 1]) > 1e-3))
    out = {"width_deg": own.width_deg, "balance_deg": own.balance_deg, "mirror_symmetric": float(mirrored)}
    out |= {"focus_deg": own.focus_deg, "tone_db": own.tone_rms_db}
    out |= {f"{k}_lost_db": -v for k, v in found.loudness.re_plain_db["calibrated"].items()}
    for i, side in enumerate(SIDES):
        out[f"azimuth_error_{side}_deg"] = float(off[i])
        for j, hz in enumerate(ITD_HZ):
            out[f"itd_{hz:g}_{side}_percent"] = float(itd[j, i])
            out[f"itd_{hz:g}_{side}_allowed_percent"] = float(allowed[j, i])
    return out


def goals(rig: str, found: dict[str, float]) -> list[Goal]:
    """What is asked of one unit."""
    out = [Goal("width, degrees", found["width_deg"], WIDTH_DEG, least=True)]
    if found["mirror_symmetric"]:
        out.append(Goal("balance off 0, degrees", abs(found["balance_deg"]), BALANCE_DEG))
    out += [Goal(f"azimuth error {s}, degrees", found[f"azimuth_error_{s}_deg"], AZIMUTH_DEG) for s in SIDES]
    out += [Goal("speech lost, dB", found["speech_lost_db"], SPEECH_DB), Goal("tone, dB", found["tone_db"], TONE_DB)]
    if rig == "desk":
        out.append(Goal("music lost, dB", found["music_lost_db"], MUSIC_DB))
        out += [
            Goal(f"ITD at {hz:g} Hz {s}, percent", found[f"itd_{hz:g}_{s}_percent"], ITD_PERCENT, least=True)
            for hz in ITD_HZ[1:]
            for s in SIDES
        ]
    return out


def lines(rig: str, found: dict[str, float]) -> str:
    """Figures and goals of one unit as text."""
    x = found
    itd = "; ".join(
        f"{hz:g} Hz "
        + " / ".join(f"{x[f'itd_{hz:g}_{s}_percent']:.0f} ({x[f'itd_{hz:g}_{s}_allowed_percent']:.0f})" for s in SIDES)
        for hz in ITD_HZ
    )
    return "\n".join([
        f"{rig}: width {x['width_deg']:.1f}, balance {x['balance_deg']:+.2f}, focus {x['focus_deg']:.1f} degrees; "
        f"azimuth error {x['azimuth_error_left_deg']:.1f} / {x['azimuth_error_right_deg']:.1f} degrees rms",
        f"    ITD left / right, percent of the pair's (allowed by effort and errors): {itd}",
        f"    lost against plain stereo: music {x['music_lost_db']:.1f}, speech {x['speech_lost_db']:.1f} dB; tone "
        f"{x['tone_db']:.2f} dB",
        *(g.text for g in goals(rig, x)),
    ])  # fmt: skip


def main() -> int:
    """Print figures and goals; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="?", help="folder with <rig>/runs/SN-1/<run>")
    parser.add_argument("--rigs", default=",".join(RIGS))
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    table = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name in args.rigs.split(","):
            run = run_of(name, args.runs) if args.runs else measured(name, Path(scratch))
            table[name] = figures(run)
            if not args.json:
                print(lines(name, table[name]), flush=True)
    short = [f"{name}: {g.name}" for name, x in table.items() for g in goals(name, x) if not g.reached]
    if args.json:
        print(json.dumps({"figures": table, "not_reached": short}, indent=1))
    else:
        print("\n" + ("Not reached: " + "; ".join(short) if short else "Every figure asked for is reached."))
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
