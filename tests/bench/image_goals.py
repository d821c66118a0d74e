"""What a listener gets of the ready-made units in free field and in rooms, beside the targets; exit code 1 if one is
missed.

``python tests/bench/image_goals.py DIR`` takes the newest run below ``DIR/<rig>/runs/SN-1`` for each rig; without DIR
the virtual units are measured first, in some minutes. Each session is fitted again with the present design; nothing
in DIR is written. Figures are of the responses measured at the scoring heads, which the design never saw.

Units in rooms (``--rooms``) are fitted twice, with the default and with ``prefer = "depth"``: width a side, what the
sides lose and what the centre gains of direct over reverberant sound against plain stereo on the same unit, and near
over far ear of the whole response in octaves, least over plain stereo.

Cancellation is that of third octaves from 800 Hz to 6.3 kHz, mean / 10th percentile over cells and heads, then once
more after drift: the level of each driver 0.25 dB off, and its phase by as much, drawn :data:`DRAWS` times.

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
from sweetspot.calibrate.design import CrosstalkDesign, Design, ImageDesign
from sweetspot.calibrate.filters import bare
from sweetspot.calibrate.plant import NEPER_DB, Fitted, corrected, gate, metrics
from sweetspot.measure import folder, plan
from sweetspot.measure.run import measure
from sweetspot.measure.session import Session
from sweetspot.measure.smooth import THIRD_OCTAVES
from sweetspot.rigs.layout import mirror_pairs
from sweetspot.rigs.load import find, open_rig
from sweetspot.rigs.rig_file import read
from sweetspot.rigs.units import Float, power_db

RIGS = ("desk", "round", "soundbar", "puck")
ROOMS = ("round-living-room", "puck-living-room", "soundbar-living-room")
UNIT = "SN-1"
DRAWS, DRIFT_NP = 30, 0.25 / NEPER_DB
OCTAVES = ((400.0, 800.0), (800.0, 1600.0), (1600.0, 3200.0), (3200.0, 6400.0))
BASS_HZ = (100.0, 160.0)
ITD_HZ = (250.0, 350.0, 450.0)
SIDES = ("left", "right")
NO_TARGET = Design(crosstalk=CrosstalkDesign(target_db=((100.0, 60.0), (12000.0, 60.0))))
"""A target beyond every reach: the limit of effort and the errors of the paths decide alone."""

SIDE_DEG, DRR_LOST_DB, DEPTH_LOST_DB, CENTRE_DB, WHOLE_DB, BASS_DB = 18.0, 9.0, 5.0, 1.5, -0.05, 2.0
"""Targets in rooms: width a side with the default and what it loses at most, what "depth" loses at most, what
the centre gains, near over far ear over that of plain stereo (rounding left out); and bass in the middle everywhere."""

BALANCE_DEG, WIDTH_DEG, AZIMUTH_DEG, ITD_PERCENT, MUSIC_DB, SPEECH_DB, TONE_DB = 1.0, 54.0, 4.0, 85.0, 5.0, 1.5, 1.2
"""Targets: ITD (from 350 Hz on) and music of the desk alone, balance of units that mirror themselves."""


@dataclass(frozen=True, slots=True)
class Goal:
    """One figure beside its target, a maximum or a minimum."""

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


def cancellation(run: Path, made: Fitted, drift: float = 0.0) -> tuple[float, float]:
    """Mean and 10th percentile at the scoring heads, after so much drift (nepers and rad) of each driver."""
    with Session.read(run / "session.h5") as session:
        ears = session.responses("ears")
    how = gate.chosen(ears.used_for("design"), Design().filter)
    h = gate.spectra(auditory.scored(ears), how)
    f = np.fft.rfftfreq(2 * (h.shape[-1] - 1), 1.0 / ears.fs)
    used = (f > 600.0) & (f < 7500.0)
    paths = np.einsum("pedf,sdf->pesdf", h[..., used], bare(made.filters, f, made.far_ear.response(f))[..., used])
    inside = (THIRD_OCTAVES > 790.0) & (THIRD_OCTAVES < 6400.0)
    rng, cells = np.random.default_rng(3), []
    for _ in range(DRAWS if drift else 1):
        level, phase = drift * rng.standard_normal((2, paths.shape[3]))
        heard = np.einsum("pesdf,d->pesf", paths, np.exp(level + 1j * phase))
        cells.append(metrics.cancellation_db(heard, f[used])[..., inside])
    return float(np.mean(cells)), float(np.percentile(cells, 10))


def arms_of(run: Path, made: Fitted) -> tuple[ways.Arm, ways.Arm]:
    """The calibrated unit and plain stereo on it, at the scoring heads."""
    with Session.read(run / "session.h5") as session:
        rig, ears = session.rig(), session.responses("ears")
    scored = auditory.scored(corrected(ears, made.ears.gains) if made.ears else ears)
    plain = assessment.others_of(rig, scored, made.filters, None, auditory.model_of(rig))[0]
    return ways.calibrated(scored, made.filters), plain


def near_over_far(arm: ways.Arm) -> Float:
    """Energy of the whole response at the near ear over that at the far one ``(side, octave)``, dB, mean over heads."""
    power = np.abs(np.fft.rfft(arm.h, axis=-1)) ** 2
    f = np.fft.rfftfreq(arm.h.shape[-1], 1.0 / arm.fs)
    bands = np.stack([power[..., (f >= a) & (f < b)].mean(axis=-1) for a, b in OCTAVES], axis=-1).mean(axis=0)
    return power_db(np.stack([bands[0, 0] / bands[1, 0], bands[1, 1] / bands[0, 1]]))


def bass(arm: ways.Arm) -> float:
    """Level of a source in the middle from 100 to 160 Hz over that of its phantom, without an upmix, dB."""
    f = np.fft.rfftfreq(arm.h.shape[-1], 1.0 / arm.fs)
    inside = (f >= BASS_HZ[0]) & (f <= BASS_HZ[1])
    shares = np.stack([arm.shares[2], ways.stereo_shares()[2]])
    heard = np.fft.rfft(np.einsum("pect,nc->pent", arm.h, shares), axis=-1)[..., inside]
    own, phantom = np.mean(np.abs(heard) ** 2, axis=(0, 1, 3))
    return float(power_db(own / phantom))


def in_room(run: Path) -> dict[str, float]:
    """All figures of one unit in a room."""
    out = {}
    for prefer in ("balanced", "depth"):
        made = steps.fitted(run, Design(image=ImageDesign(prefer=prefer)))
        found = steps.image(run, made)
        own = found.arms["calibrated"]
        lost = own.drr_loss_db(found.arms["plain"])
        unit, plain = arms_of(run, made)
        over = near_over_far(unit) - near_over_far(plain)
        out |= {
            f"{prefer}_side_deg": 0.5 * own.width_deg,
            f"{prefer}_drr_lost_left_db": lost["left"],
            f"{prefer}_drr_lost_right_db": lost["right"],
            f"{prefer}_centre_gained_db": -lost["centre"],
            f"{prefer}_near_over_far_re_plain_db": float(over.min()),
            f"{prefer}_bass_db": bass(unit),
        }
    return out


def room_goals(found: dict[str, float]) -> list[Goal]:
    """Targets of one unit in a room."""
    x = found
    out = [Goal("width a side, degrees", x["balanced_side_deg"], SIDE_DEG, least=True)]
    for side in SIDES:
        out.append(Goal(f"DRR lost {side}, dB", x[f"balanced_drr_lost_{side}_db"], DRR_LOST_DB))
        out.append(Goal(f"DRR lost {side}, depth, dB", x[f"depth_drr_lost_{side}_db"], DEPTH_LOST_DB))
    out.append(Goal("DRR gained centre, dB", x["balanced_centre_gained_db"], CENTRE_DB, least=True))
    near = x["balanced_near_over_far_re_plain_db"]
    out.append(Goal("near over far re plain, dB", near, WHOLE_DB, least=True))
    return out


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
    out["bass_db"] = bass(arms_of(run, made)[0])
    for name, one in (("", made), ("width_", steps.fitted(run, Design(image=ImageDesign(prefer="width"))))):
        for after, drift in (("", 0.0), ("drifted_", DRIFT_NP)):
            found_db = cancellation(run, one, drift)
            out |= {f"{name}{after}mean_db": found_db[0], f"{name}{after}p10_db": found_db[1]}
    out |= {f"{k}_lost_db": -v for k, v in found.loudness.re_plain_db["calibrated"].items()}
    for i, side in enumerate(SIDES):
        out[f"azimuth_error_{side}_deg"] = float(off[i])
        for j, hz in enumerate(ITD_HZ):
            out[f"itd_{hz:g}_{side}_percent"] = float(itd[j, i])
            out[f"itd_{hz:g}_{side}_allowed_percent"] = float(allowed[j, i])
    return out


def goals(rig: str, found: dict[str, float]) -> list[Goal]:
    """Targets of one unit."""
    out = [Goal("width, degrees", found["width_deg"], WIDTH_DEG, least=True)]
    if found["mirror_symmetric"]:
        out.append(Goal("balance off 0, degrees", abs(found["balance_deg"]), BALANCE_DEG))
    out += [Goal(f"azimuth error {s}, degrees", found[f"azimuth_error_{s}_deg"], AZIMUTH_DEG) for s in SIDES]
    out += [Goal("speech lost, dB", found["speech_lost_db"], SPEECH_DB), Goal("tone, dB", found["tone_db"], TONE_DB)]
    out.append(Goal("bass in the middle off, dB", abs(found["bass_db"]), BASS_DB))
    if rig == "desk":
        out.append(Goal("mean with width, dB", found["width_mean_db"], 21.5, least=True))
        out.append(Goal("10th percentile with width", found["width_p10_db"], 14.5, least=True))
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
        f"    cancellation {x['mean_db']:.1f} / {x['p10_db']:.1f}, after drift {x['drifted_mean_db']:.1f} / "
        f"{x['drifted_p10_db']:.1f}; with prefer = \"width\" {x['width_mean_db']:.1f} / {x['width_p10_db']:.1f}, after "
        f"drift {x['width_drifted_mean_db']:.1f} / {x['width_drifted_p10_db']:.1f} dB",
        *(g.text for g in goals(rig, x)),
    ])  # fmt: skip


def main() -> int:
    """Print figures and goals; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="?", help="folder with <rig>/runs/SN-1/<run>")
    parser.add_argument("--rigs", default=",".join(RIGS))
    parser.add_argument("--rooms", default=",".join(ROOMS), help="units in rooms; '' for none")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    table = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name in filter(None, args.rigs.split(",")):
            run = run_of(name, args.runs) if args.runs else measured(name, Path(scratch))
            table[name] = figures(run)
            if not args.json:
                print(lines(name, table[name]), flush=True)
        for name in filter(None, args.rooms.split(",")):
            run = run_of(name, args.runs) if args.runs else measured(name, Path(scratch))
            table[name] = in_room(run)
            if not args.json:
                pairs = "; ".join(f"{k} {v:.1f}" for k, v in table[name].items())
                print("\n".join([f"{name}: {pairs}", *(g.text for g in room_goals(table[name]))]), flush=True)
    asked = {name: room_goals(x) if "depth_side_deg" in x else goals(name, x) for name, x in table.items()}
    short = [f"{name}: {g.name}" for name, each in asked.items() for g in each if not g.reached]
    if args.json:
        print(json.dumps({"figures": table, "not_reached": short}, indent=1))
    else:
        print("\n" + ("Not reached: " + "; ".join(short) if short else "Every figure asked for is reached."))
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
