"""Two clocks: drift estimated from the loopback and taken out of the responses, at 1, 10 and 100 ppm.

    python tests/bench/clocks.py

The virtual lab records with inputs that run faster than its outputs; the responses are compared with those of the same
lab with one clock. Without the lab's noise, and with it. Exit code 1 where an estimate is off by more than 0.2 ppm or
1 %, or a corrected response by more than -60 dB (complex, over the judged band, worst path).
"""

from __future__ import annotations

import sys
import time

import numpy as np

from sweetspot.measure import plan
from sweetspot.measure.listener import CaptureAnalyser
from sweetspot.rigs.load import find, open_rig
from sweetspot.rigs.rig_file.description import Description, read
from sweetspot.rigs.rig_file.lab_tables import Lab

SECONDS, WANTED_DB = 5.0, -60.0


def rig_of(ppm: float, quiet: bool) -> Description:
    """The ready-made desk with a sweep of five seconds, latency enough for two clocks."""
    rig = read(find("desk"))
    more: dict[str, object] = {"clock_ppm": ppm, "latency_samples": 1024}
    if quiet:
        more |= {"converter_noise_dbfs": -200.0, "mic_noise_db_spl": -100.0}
    lab = Lab.model_validate({**rig.lab.model_dump(), **more})
    return rig.model_copy(update={"lab": lab, "sweep": rig.sweep.model_copy(update={"seconds": SECONDS})})


def heard(ppm: float, quiet: bool) -> tuple[np.ndarray, float, str, float]:
    """A driver's responses at both ears, the drift found, the reason not to keep it, and what it took, s."""
    rig = rig_of(ppm, quiet)
    wanted = plan.make(rig, "ears")
    listener = CaptureAnalyser.of(rig, wanted)
    with open_rig(rig, serial="CLOCKS") as lab:
        recording = listener.channels(lab.interface.capture(wanted.sources.signals[1]))
    listener.analysed(recording, 1)  # the stretched inverse is kept from here on
    began = time.perf_counter()
    found = listener.analysed(recording, 1)
    took, (one,) = time.perf_counter() - began, found.responses
    return one.h, one.clock_ppm, str(found.reason or ""), took


def main() -> int:
    """Print the table and what it missed."""
    missed = []
    print(f"{'drift, ppm':>12}{'found, ppm':>12}{'error, dB':>11}{'ms':>7}")
    for quiet in (True, False):
        print("without noise" if quiet else "with the lab's noise")
        one = heard(0.0, True)[0]
        band = plan.make(rig_of(0.0, quiet), "ears").sweep.band
        f = np.fft.rfftfreq(one.shape[-1], 1.0 / read(find("desk")).fs)
        inside = (f >= band[0]) & (f <= band[1])
        true = np.fft.rfft(one)[:, inside]
        for ppm in (0.0, 1.0, -1.0, 10.0, 100.0, -100.0, 600.0):
            h, found, reason, took = heard(ppm, quiet)
            off = np.fft.rfft(h)[:, inside] - true
            error = float(20.0 * np.log10(np.max(np.linalg.norm(off, axis=1) / np.linalg.norm(true, axis=1)) + 1e-20))
            print(f"{ppm:12g}{found:12.4f}{error:11.1f}{1e3 * took:7.0f}  {reason}")
            if abs(found - ppm) > max(0.2, 0.01 * abs(ppm)) or reason or error > WANTED_DB:
                missed.append(f"{ppm:g} ppm: found {found:.4f}, {error:.1f} dB {reason}")
    print("missed: " + "; ".join(missed) if missed else "every figure reached")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
