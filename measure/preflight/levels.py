"""Findings on levels: headroom, loudness and SNR of the planned sweeps, weak drivers, the noise floor."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sweetspot.measure.judge import disturbance, levels_unknown, swept_power, uncalibrated
from sweetspot.measure.preflight.finding import Finding, Outcome
from sweetspot.measure.preflight.paths import OCTAVES, Observation
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.rig_file import Description, Mic
from sweetspot.rigs.units import P_REF, Float, db, from_db, power_db

WEAK_DB = 10.0
CHANGED_DB = (3.0, 6.0)
"""Level differences from the reference above which it is noted, and a fault, dB."""

HEADROOM_DB = 3.0
SNR_DB = (10.0, 25.0)
"""Of the coming sweep: below the first captures would be refused, below the second they are poor."""


def of_levels(observed: Observation) -> Iterator[Finding]:
    """Expected headroom, level and SNR of the planned sweeps at the microphones."""
    matrix = observed.matrices[0]
    if unknown := levels_unknown(observed.rig, observed.rig.mic):
        yield Finding("level", "dB SPL", "untold", unknown)
    for i, mic in enumerate(observed.rig.mic):
        known = not uncalibrated(observed.rig, (mic,))
        row = observed.inputs[i]
        if not observed.there[i].any():
            continue
        powers = [np.abs(r[row]) ** 2 for r in matrix.responses[: len(observed.rig.driver)]]
        headroom = -float(db(observed.peak_at(i)) + power_db(max(np.max(p) for p in powers)))
        swept = [swept_power(p, matrix.comb.frequencies(o), observed.sweep_rate) for o, p in enumerate(powers)]
        loudest = int(np.argmax(swept))
        full = float(db(observed.peak_at(i) / np.sqrt(2.0) * observed.pascals(i) / P_REF))
        spl = full + float(power_db(swept[loudest]))
        values = {
            "headroom_db": headroom,
            "loudest_db_spl": spl if known else None,
            "by": observed.rig.driver_names[loudest],
        }
        reached = f"{spl:.0f} dB SPL" if known else f"{-headroom:.0f} dBFS"
        text = f"the sweep will reach {reached} and leave {headroom:.0f} dB of headroom"
        outcome: Outcome = "pass"
        if headroom < 0:
            outcome, text = "fail", f"the sweep would clip it by {-headroom:.0f} dB: lower sweep.level_dbfs or its gain"
        elif known and (over := spl - observed.rig.limits.loudest_db_spl) > 0:
            limit = f"limits.loudest_db_spl = {observed.rig.limits.loudest_db_spl:g}"
            outcome, text = "fail", f"{text}: above {limit}; lower sweep.level_dbfs by {over:.1f} dB"
        elif headroom < HEADROOM_DB:
            outcome, text = "warn", f"{text}: at least {HEADROOM_DB:g} dB is recommended"
        yield Finding("level", mic.name, outcome, text, values)
    yield from _of_snr(observed)
    yield from _of_drivers(observed)


def snr(observed: Observation) -> Iterator[tuple[Mic, float, str]]:
    """Expected SNR of the sweep at each working microphone: dB in its worst octave, and that octave.

    ``A^2 L |H|^2 / (4 f (N0 / 2) T)``, averaged over each octave of each driver's band.
    """
    matrix = observed.matrices[0]
    for i, mic in enumerate(observed.rig.mic):
        worst, where = np.inf, ""
        for o, driver in enumerate(observed.rig.driver):
            f = matrix.comb.frequencies(o)
            density = np.interp(f, matrix.noise_f, matrix.noise[observed.inputs[i]])
            power = np.abs(matrix.responses[o][observed.inputs[i]]) ** 2
            each = (
                observed.peak_at(i) ** 2
                * observed.sweep_rate
                * power
                / (2.0 * f * np.maximum(density, 1e-30) * observed.window_s)
            )
            for centre in OCTAVES:
                inside = (f >= centre / np.sqrt(2)) & (f < centre * np.sqrt(2)) & (f >= 2 * driver.band_hz[0])
                level = float(power_db(np.mean(each[inside]))) if np.count_nonzero(inside) > 2 else np.inf
                if observed.there[i, o] and level < worst:
                    worst, where = level, f"{driver.name}, {centre:g} Hz"
        if np.isfinite(worst):
            yield mic, worst, where


def _of_snr(observed: Observation) -> Iterator[Finding]:
    """Signal to noise of the sweep to come."""
    for mic, worst, where in snr(observed):
        outcome: Outcome = "fail" if worst < SNR_DB[0] else "warn" if worst < SNR_DB[1] else "pass"
        text = f"the sweep will be at least {worst:.0f} dB over the noise ({where})"
        if outcome != "pass":
            text += f": {SNR_DB[1] - worst:.0f} dB more are recommended; sweetspot rig sweep chooses length and level"
        yield Finding("snr", mic.name, outcome, text, {"worst_db": worst, "at": where})


def _of_drivers(observed: Observation) -> Iterator[Finding]:
    """Drivers that are much weaker than the others, or than they were."""
    heard, wanted = observed.heard[0], observed.expected
    mics = [int(i) for i in np.flatnonzero(observed.there.any(axis=1))]
    rows = [observed.inputs[i] for i in mics]
    if not rows:
        return
    order = observed.patch.best.driver_at if observed.patch else tuple(range(len(observed.rig.driver)))
    known = (heard.snr_db[rows] > 3.0) & (wanted.level_db[mics][:, list(order)] > -200.0)
    rest = np.where(known, heard.level_db[rows] - wanted.level_db[mics][:, list(order)], np.nan)
    off = _mean(rest, (0, 2)) if observed.from_reference else _from_others(rest)
    for place, which in enumerate(order):
        by, name = float(off[place]), observed.rig.driver[which].name
        if observed.from_reference and abs(by) > CHANGED_DB[0]:
            outcome: Outcome = "fail" if abs(by) > CHANGED_DB[1] else "warn"
            text = f"{by:+.1f} dB re the reference (limits {CHANGED_DB[0]:g} and {CHANGED_DB[1]:g} dB)"
            yield Finding("level", name, outcome, text, {"change_db": by})
        elif not observed.from_reference and by < -WEAK_DB:
            text = f"{-by:.0f} dB below the other drivers: check its gain, or its wiring"
            yield Finding("level", name, "warn", text, {"below_others_db": -by})


def _from_others(rest: Float) -> Float:
    """Level ``(driver,)`` re the other drivers, dB, by deviations ``(mic, driver, octave)`` from the expected shape.

    Bodies cast shadows above 1 kHz: only tweeters, which have nothing below, are compared there, octave by octave where
    at least two other drivers play.
    """
    each = _mean(rest, (0,))
    level = _mean(np.where(np.array(OCTAVES) <= 1000.0, each, np.nan), (1,))
    several = np.isfinite(each).sum(axis=0) >= 3
    usual = [np.median(one[np.isfinite(one)]) if many else np.nan for one, many in zip(each.T, several, strict=True)]
    there = np.isfinite(level)
    bass = level - np.median(level[there]) if there.any() else level
    return np.asarray(np.where(there, bass, _mean(each - np.array(usual), (1,))))


def _mean(x: Float, axes: tuple[int, ...]) -> Float:
    """Mean of the numbers over axes; not a number where there are none."""
    there = np.isfinite(x)
    sums, counts = np.sum(np.where(there, x, 0.0), axis=axes), there.sum(axis=axes)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


HUM_DB_SPL, HUM_DBFS = 40.0, -80.0
"""Harmless level of hum; the second if levels in pascal are unknown."""


def of_noise(observed: Observation) -> Iterator[Finding]:
    """Noise floor of each microphone, in octaves; hum if its lines stand out."""
    m = observed.matrices[0]
    for i, mic in enumerate(observed.rig.mic):
        known = not uncalibrated(observed.rig, (mic,))
        density = m.noise[observed.inputs[i]] * observed.pascals(i) ** 2
        shift = 0.0 if known else float(db(P_REF / observed.pascals(i)))  # to dB re full scale
        step = m.noise_f[1] - m.noise_f[0]
        bands = {}
        for centre in OCTAVES:
            inside = (m.noise_f >= centre / np.sqrt(2)) & (m.noise_f < centre * np.sqrt(2))
            bands[f"{centre:g}"] = (
                float(power_db(np.sum(density[inside]) * step / P_REF**2)) + shift if inside.any() else None
            )
        total = float(power_db(np.sum(density[m.noise_f >= 20.0]) * step / P_REF**2))
        listed = " ".join(f"{level:.0f}" for level in bands.values() if level is not None)
        unit = "spl" if known else "fs"
        text = f"{total + shift:.0f} dB{' SPL' if known else 'FS'}; octaves from {OCTAVES[0]:g} Hz: {listed}"
        values = {f"total_db_{unit}": total + shift, f"octaves_db_{unit}": bands}
        mains, power = m.mains[observed.inputs[i]]
        hum = float(power_db(power * observed.pascals(i) ** 2 / P_REF**2))
        outcome: Outcome = "pass"
        if mains:
            over = hum - _softest_db(observed, i)
            much = over > disturbance.HUM_LEVEL_DB
            if much or hum + shift > (HUM_DB_SPL if known else HUM_DBFS):
                outcome = "fail" if much else "warn"
                text += f"; hum of {mains:.0f} Hz and multiples at {hum + shift:.0f} dB{' SPL' if known else 'FS'}"
            if much:
                text += f", {over:.0f} dB re the sweep (limit {disturbance.HUM_LEVEL_DB:.0f}): captures would be "
                text += "rejected; check its grounding and its cable"
            values |= {"mains_hz": mains, f"hum_db_{unit}": hum + shift}
        yield Finding("noise", mic.name, outcome, text, values)


def _softest_db(observed: Observation, mic: int) -> float:
    """Level of the driver's sweep that is softest at a microphone, dB re 20 uPa; infinite if none arrives."""
    m, row = observed.matrices[0], observed.inputs[mic]
    swept = []
    for o in np.flatnonzero(observed.there[mic]):
        power, f = np.abs(m.responses[o][row]) ** 2, m.comb.frequencies(int(o))
        swept.append(float(np.sum(power / f) / np.sum(1.0 / f)))  # as long in every octave
    full = float(db(observed.peak_at(mic) / np.sqrt(2.0) * observed.pascals(mic) / P_REF))
    return full + float(power_db(min(swept))) if swept else np.inf


def allowed_peak(rig: Description, level_dbfs: float | None, quieter_db: float) -> float:
    """Peak of each comb (linear): as given, else at a fixed level below the session's sweep.

    Raises
    ------
    BadInput
        It is above the rig's ceiling, or not a level.
    """
    asked = rig.sweep.level_dbfs - quieter_db if level_dbfs is None else level_dbfs
    if not -120.0 <= asked <= rig.limits.ceiling_dbfs:
        raise BadInput(
            f"--level-dbfs: {asked:g} dBFS is not between -120 and limits.ceiling_dbfs = {rig.limits.ceiling_dbfs:g}"
        )
    return float(from_db(asked))
