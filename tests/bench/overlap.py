"""Overlapped sweeps of eight drivers beside sequential ones: how much shorter, and how near, with distortion present.

    python tests/bench/overlap.py [--no-card]

The ready-made soundbar, sweeps of 5 s, drivers that make 1 % of second and 0.3 % of third harmonic at the sweep's
level, no noise: in free field with 90 ms kept, in a living room with 400 ms kept, and in free field through a JACK
server and PortAudio. Responses of overlapped captures are compared with those of sequential captures of the same lab
at the same level (complex, over the judged band, worst path; what distortion does to the fundamental is in both).
"Possible" is the gain with nothing between the kept windows; in the room with distortion, with the second harmonic's
lag there. "With silence" is the gain if captures began where the sweeps do, below the drivers' bands. Then the same
room with sweeps of 5 s, and a soundbar of tweeters, midranges and woofers, of which the tweeters start first. Then one
position of that room gets a longer decay, in steps: how the error there would be if it were captured with all drivers
at once all the same, and whether that capture was rejected. Exit code 1 where captures are not 5.5 times shorter in
free field, the error is above -70 dB, or a position of an even room is rejected.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lively import livelier
from server import lab as lab_on
from server import server

from sweetspot.measure import folder, plan
from sweetspot.measure.overlap import Overlap, shortest
from sweetspot.measure.run import measure
from sweetspot.measure.separation import Separation
from sweetspot.measure.session import Session
from sweetspot.rigs.load import find, open_rig
from sweetspot.rigs.rig_file.description import Description, parse

GAIN, ERROR_DB = 5.5, -70.0
QUIET = "converter_noise_dbfs = -200.0\nmic_noise_db_spl = -100.0\n"
DISTORTION = "\n[lab.distortion]\nh2_percent = 1.0\nh3_percent = 0.3\nat_dbfs = -6.5\n"
CARD = 'driver = "portaudio"\ndevice = "sweetspot-soundbar"\nhostapi = "JACK Audio Connection Kit"\nblocksize = 1024\n'


def text_of(name: str, after_ms: float, positions: int = 3) -> str:
    """A ready-made rig's file, quieter, with longer sweeps, distortion, and fewer positions."""
    text = find(name).read_text(encoding="utf-8")
    lines, kept = [], 0
    for line in text.splitlines():
        kept += line.strip().startswith("{ x =")
        if not (line.strip().startswith("{ x =") and 1 < kept < 9 - positions + 2):
            lines.append(line)
    text = "\n".join(lines) + "\n"
    text = text.replace("seconds = 1.0", "seconds = 5.0").replace("seed = 1\n", f"seed = 1\n{QUIET}")
    before = text.split("after_ms = ")[1].split("\n")[0]
    return text.replace(f"after_ms = {before}", f"after_ms = {after_ms:g}") + DISTORTION


WAYS = ((1500, 20000), (300, 20000), *4 * ((120, 20000),), (300, 20000), (1500, 20000))
"""Bands of a soundbar of tweeters, midranges and woofers, Hz."""


def three_ways(text: str) -> str:
    """The soundbar's file with drivers of bands of their own."""
    for low, high in WAYS:
        text = text.replace("band_hz = [140, 20000]", f"band_hz = [{low}, {high}]", 1)
    return text


def responses(rig: Description, place: Path, mode: plan.OverlapMode) -> tuple[Path, np.ndarray]:
    """A session in process; its run, and responses ``(position, mic, driver, tap)``."""
    run = folder.new(place, f"O-{mode}", rig, datetime(2026, 1, 1, tzinfo=UTC))
    with open_rig(rig, serial="OVERLAP") as made, Session.resume(run / "session.h5") as session:
        wanted = plan.make(rig, "ears")
        measure(made, session, wanted, ask=lambda move: None, step=lambda note: None, overlapped=mode)
        return run, np.asarray(session.responses("ears").h, dtype=float)


def error_db(one: np.ndarray, other: np.ndarray, rig: Description) -> float:
    """Worst path, over positions that were captured with all drivers at once."""
    f = np.fft.rfftfreq(one.shape[-1], 1.0 / rig.fs)
    band = (f >= rig.sweep.band_hz[0]) & (f <= rig.sweep.band_hz[1])
    true, off = (np.fft.rfft(x[1:])[..., band] for x in (one, other - one))
    return float(20.0 * np.log10(np.max(np.linalg.norm(off, axis=-1) / np.linalg.norm(true, axis=-1)) + 1e-20))


def sequential(rig: Description, place: Path, how: Overlap) -> np.ndarray:
    """Responses of sequential captures at the level of overlapped ones."""
    level = rig.sweep.level_dbfs + 20.0 * np.log10(how.level)
    lower = rig.model_copy(update={"sweep": rig.sweep.model_copy(update={"level_dbfs": level})})
    return responses(lower, place, "off")[1]


def outcome(name: str, run: Path, rig: Description, harmonics: bool = False) -> tuple[str, float, float]:
    """One line of the table: name, gain, and error."""
    with Session.read(run / "session.h5") as session:
        how = session.overlap("ears")
        assert how is not None
        length = len(session.raw("ears", "p001_s97_r00")[0][0]) / rig.fs if how.used else float("nan")
        h = np.asarray(session.responses("ears").h, dtype=float)
    wanted, count = plan.make(rig, "ears"), len(rig.driver)
    alone = len(wanted.played)
    least = wanted.before + wanted.after + (wanted.sweep.rate * np.log(2.0) * rig.fs if harmonics else 0.0)
    possible = count * alone / (alone + (count - 1) * least - shortest(wanted, round(least)).head)
    silence = count * alone / (alone + (count - 1) * how.wait)
    error = error_db(sequential(rig, run.parent / "sequential", how), h, rig)
    wait, level = 1000.0 * how.wait / rig.fs, 20.0 * np.log10(how.level)
    row = (how.gain, possible, silence, length, wait, level, how.level_db, how.agreed_db, error)
    print(f"{name:34}" + "".join(f"{v:13.2f}" for v in row) + f" {how.why}", flush=True)
    return name, how.gain if how.used else 1.0, error


def through_a_server(place: Path) -> Path:
    """The same session through PortAudio and a JACK server that runs as fast as it can."""
    rig = place / "card.toml"
    text = text_of("soundbar", 90.0)
    stage = f'driver = "grbl"\nport = "{place / "turntable"}"\naxes = {{ turn = "X", x = "Y", y = "Z", yaw = "A" }}\n'
    text = text.replace('driver = "lab"\n', CARD, 1).replace('driver = "lab"\n', stage, 1)
    rig.write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "sweetspot", "measure", "ears", str(rig)]
    with server(48000) as on, lab_on(on, rig, "--unit", "OVERLAP"), on.freewheel():
        done = subprocess.run([*command, "--unit", "OVERLAP", "--overlap", "on", "--runs", str(place / "runs")],
                              cwd=place, env=on.env, capture_output=True, text=True, check=False)  # fmt: skip
    if done.returncode:
        raise SystemExit(done.stderr)
    return next(place.glob("runs/OVERLAP/*"))


DECAYS = ((0.0, 0.3), (-20.0, 0.3), (-20.0, 0.4), (-20.0, 0.5), (-10.0, 0.5), (-10.0, 0.7))
"""Energy of the added decay re the sound itself, dB, and the time in which it falls by 60 dB, s."""


def lively(rig: Description, place: Path) -> list[str]:
    """Error at a position with a longer decay, and whether it was captured one driver at a time; what was missed."""
    print(
        f"{'one position decays longer':34}{'energy, dB':>13}{'60 dB in, s':>13}{'unchecked, dB':>15}{'error, dB':>13}"
    )
    missed = []
    for level, rt in DECAYS:
        found, notes = {}, ""
        for mode, checked in (("off", True), ("on", True), ("on", False)):
            run = folder.new(place, f"L{level:g}-{rt:g}-{mode}-{checked}", rig, datetime(2026, 1, 1, tzinfo=UTC))
            with open_rig(rig, serial="OVERLAP") as made, Session.resume(run / "session.h5") as session:
                if level < 0.0:
                    livelier(made, 1, 10.0 ** (level / 10.0), rt)
                with mock.patch.object(Separation, "refused", Separation.refused if checked else lambda *_: ""):
                    measure(made, session, plan.make(rig, "ears"), ask=lambda move: None, step=lambda note: None,
                            overlapped=mode)  # fmt: skip
                found[mode, checked] = np.asarray(session.responses("ears").h, dtype=float)
                how = session.overlap("ears")
            if checked and how is not None:
                notes = "".join(f" position {p + 1}: {why.split(':')[0]}" for p, why in how.sequential)
        errors = [error_db(found["off", True], found["on", checked], rig) for checked in (False, True)]
        print(f"{'':34}{level:14.0f}{rt:14.2f}{errors[0]:14.2f}{errors[1]:14.2f}{notes}", flush=True)
        missed += [f"longer decay: {errors[1]:.1f} dB"] if errors[1] > ERROR_DB else []
        missed += ["an even room was rejected"] if notes and level == 0.0 else []
    return missed


def main() -> int:
    """Print the table and what it missed."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--no-card", action="store_true", help="without the JACK server")
    with_card = not arguments.parse_args().no_card
    heads = (
        "shorter",
        "possible",
        "with silence",
        "capture, s",
        "wait, ms",
        "level, dB",
        "of which, dB",
        "checked, dB",
        "error, dB",
    )
    print(f"{'eight drivers':34}" + "".join(f"{h:>13}" for h in heads))
    with tempfile.TemporaryDirectory(prefix="overlap-") as name:
        place = Path(name)
        free = parse(text_of("soundbar", 90.0), folder=place)
        rows = [outcome("free field, 120 ms kept", responses(free, place / "free", "on")[0], free)]
        if with_card:
            rows.append(outcome("through a JACK server", through_a_server(place), free))
        missed = [f"{r}: {g:.2f} times" for r, g, _ in rows if g < GAIN]
        text = text_of("soundbar-living-room", 400.0)
        room, clean = parse(text, folder=place), parse(text.replace(DISTORTION, ""), folder=place)
        rows.append(outcome("living room, 430 ms kept", responses(room, place / "room", "auto")[0], room, True))
        rows.append(outcome("living room, no distortion", responses(clean, place / "clean", "auto")[0], clean))
        ways = parse(three_ways(text.replace(DISTORTION, "")), folder=place)
        rows.append(outcome("living room, three ways", responses(ways, place / "ways", "auto")[0], ways))
        slow = parse(text.replace(DISTORTION, "").replace("seconds = 1.5", "seconds = 5.0"), folder=place)
        rows.append(outcome("living room, sweeps of 5 s", responses(slow, place / "slow", "auto")[0], slow))
        missed += lively(clean, place)
    missed += [f"{r}: {e:.1f} dB" for r, _, e in rows if e > ERROR_DB]
    print("missed: " + "; ".join(missed) if missed else "every figure reached")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
