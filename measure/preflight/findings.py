"""Turns what a check heard into findings: loopback, microphones, amplifier, patch, polarity, levels, noise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from measure.preflight.comb import Matrix
from measure.preflight.expect import Expected
from measure.preflight.finding import Finding, Outcome
from measure.preflight.heard import OCTAVES, Heard, Loop
from measure.preflight.patch import Verdict
from measure.preflight.steady import RESIDUAL_DB
from rigs.describe import EARS, Description
from rigs.errors import BadInput
from rigs.units import P_REF, Float, db, from_db, power_db, speed_of_sound

UNCLEAR = 0.35
"""Below this cosine the phase of an arrival is not called a sign."""

OPEN_INPUT_DB = 2.0
"""A microphone's input with no more noise than that over the loopback's has probably nothing plugged in."""

WEAK_DB = 10.0
CHANGED_DB = (3.0, 6.0)
"""Noted, and called wrong: by how much a level may differ from the reference's."""

DRIFT_PPM = 0.5
GAIN_DB = -40.0
RIPPLE_DB = 3.0
TOP_DB = -20.0
HEADROOM_DB = 3.0
SNR_DB = (10.0, 25.0)
"""Of the coming sweep: below the first captures would be refused, below the second they are poor."""

PLACE_M = 0.15
"""Distances that differ more than this from the rig's are noted."""


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """All that a check knows.

    Parameters
    ----------
    rig
        With only the microphones that are looked at.
    heard, loops, matrices
        One a pose: as it stands, and turned if the stage turns.
    expected
        Of the poses as asked.
    patch
        ``None`` where there was too little to tell.
    sweep_peak, sweep_rate, window_s
        Of the session to come: peak (linear), ``L`` in s, length of the kept response in s.
    from_reference
        Whether the expectation was heard earlier, not worked out.
    """

    rig: Description
    heard: list[Heard]
    loops: list[Loop]
    matrices: list[Matrix]
    expected: Expected
    patch: Verdict | None
    sweep_peak: float
    sweep_rate: float
    window_s: float
    from_reference: bool = False

    @property
    def inputs(self) -> list[int]:
        """Rows of the microphones, from 0."""
        return [m.channel - 1 for m in self.rig.mic]

    @property
    def there(self) -> NDArray[np.bool_]:
        """``(mic, driver)``: whether a driver's output is heard at a microphone's input."""
        return self.heard[0].there[self.inputs]

    def pascals(self, mic: int) -> float:
        """Pa of full scale at a microphone's input."""
        return self.rig.interface.full_scale_v / (self.rig.mic[mic].sensitivity_mv_per_pa / 1000.0)


def of_loopback(told: Told) -> Iterator[Finding]:
    """The cable that gives time zero, and what it says of the clocks."""
    cable, fs, loop = told.rig.interface.loopback, told.rig.fs, told.loops[0]
    name = f"out {cable.out}, in {cable.in_}"
    if loop.input is None:
        yield Finding(
            "loopback", name, "fail", f"output {cable.out} is heard at no input: plug its cable into input {cable.in_}"
        )
        return
    if loop.input != cable.in_ - 1:
        said = f"output {cable.out} is heard at input {loop.input + 1} where input {cable.in_} should hear it"
        yield Finding("loopback", name, "fail", said + ": replug its cable, or change interface.loopback")
        return
    level = float(db(loop.gain))
    values = {"latency_samples": loop.latency * fs, "latency_ms": 1e3 * loop.latency, "gain_db": level}
    said = f"latency {loop.latency * fs:.2f} samples ({1e3 * loop.latency:.2f} ms), gain {level:.1f} dB"
    outcome: Outcome = "pass"
    if level < GAIN_DB:
        outcome, said = "fail", f"{said}: at least {GAIN_DB:g} dB is needed; turn its input up"
    elif loop.gain < 0:
        outcome, said = "warn", f"{said}, polarity turned over: the interface or the cable inverts"
    elif loop.ripple_db > RIPPLE_DB and loop.residual_db < RESIDUAL_DB:
        outcome = "fail"
        said = f"{said}, but its response varies by {loop.ripple_db:.1f} dB (limit {RIPPLE_DB:g}): is it a plain cable?"
    yield Finding("loopback", name, outcome, said, values)
    moved = [abs(one.latency - loop.latency) * fs for one in told.loops[1:] if one.input is not None]
    if moved and max(moved) > 0.05:
        said = f"latency moved by {max(moved):.2f} samples between two captures; every capture brings its own"
        yield Finding("loopback", "latency", "warn", said, {"moved_samples": max(moved)})
    yield from _of_clock(told)


def _of_clock(told: Told) -> Iterator[Finding]:
    worst = max(told.loops, key=lambda one: abs(one.drift_ppm))
    values = {"drift_ppm": worst.drift_ppm, "top_db": worst.top_db, "residual_db": worst.residual_db}
    fs = told.rig.fs
    if worst.residual_db > RESIDUAL_DB and abs(worst.drift_ppm) > DRIFT_PPM:
        said = (
            f"recording and playing differ by {worst.drift_ppm:.1f} ppm over two periods (limit {DRIFT_PPM:g}): "
            "different clocks, or samples lost; use one device for both, or a larger interface.blocksize"
        )
        yield Finding("clock", f"{fs} Hz", "fail", said, values)
    elif worst.residual_db > RESIDUAL_DB:
        said = f"the loopback changes by {worst.residual_db:.0f} dB from one period to the next (limit {RESIDUAL_DB:g})"
        yield Finding("clock", f"{fs} Hz", "fail", said + ": samples are lost or disturbed", values)
    elif worst.top_db < TOP_DB:
        said = f"the loopback loses {-worst.top_db:.0f} dB below {0.45 * fs / 1000:.1f} kHz: something resamples; set "
        yield Finding("clock", f"{fs} Hz", "fail", said + "the device and its server to the rig's fs", values)
    else:
        said = f"playing and recording share a clock ({abs(worst.drift_ppm):.3f} ppm apart), nothing resamples"
        yield Finding("clock", f"{fs} Hz", "pass", said, values)


def of_amplifier(told: Told) -> Iterator[Finding]:
    """Drivers that no microphone hears, or all of them."""
    there, names = told.there, told.rig.driver_names
    if not there.any():
        if all(_open(told, i) for i in range(len(told.inputs))):
            said = "no microphone hears any driver, and their inputs are as quiet as one with nothing plugged in"
            yield Finding("amplifier", "all", "fail", said + ": check microphones, preamplifiers, then the amplifier")
        else:
            said = f"none of {len(names)} drivers is heard; the microphones' noise is there: is the amplifier on?"
            yield Finding("amplifier", "all", "fail", said)
        return
    hearing = there.any(axis=1)
    for driver, heard in zip(told.rig.driver, there[hearing].T, strict=True):
        if not heard.any():
            said = f"nothing is heard from output {driver.channel}: check its amplifier channel and its cable"
            yield Finding("amplifier", driver.name, "fail", said)
        elif not heard.all():
            deaf = [m.name for m, k in zip(np.array(told.rig.mic, dtype=object)[hearing], heard, strict=True) if not k]
            yield Finding("amplifier", driver.name, "warn", f"not heard by {', '.join(deaf)}, though others are")
    if there[hearing].any(axis=0).all():
        yield Finding("amplifier", "all", "pass", f"all {len(names)} drivers are heard")


def of_microphones(told: Told) -> Iterator[Finding]:
    """Microphones that hear nothing, or clip."""
    there = told.there
    for i, mic in enumerate(told.rig.mic):
        row = told.inputs[i]
        best = float(told.heard[0].snr_db[row].max())
        clipped = int(max(m.clipped[row] for m in told.matrices))
        if told.matrices[0].still[row]:
            said = f"input {mic.channel} gives one constant value: nothing is converted there; is the channel on?"
            yield Finding("microphone", mic.name, "fail", said)
        elif clipped:
            said = f"input {mic.channel} clips ({clipped} samples at full scale): lower its preamplifier's gain"
            yield Finding("microphone", mic.name, "fail", said, {"clipped": clipped})
        elif there.any() and not there[i].any():
            why = "as quiet as an input with nothing plugged in" if _open(told, i) else "but it has noise of its own"
            said = f"hears no driver on input {mic.channel}, {why}: dead, unplugged, or without its supply"
            yield Finding("microphone", mic.name, "fail", said)
        elif there.any():
            said = f"hears on input {mic.channel}, up to {best:.0f} dB over its noise"
            yield Finding("microphone", mic.name, "pass", said, {"best_snr_db": best})


def _open(told: Told, mic: int) -> bool:
    """Whether an input is as quiet as the loopback's."""
    m = told.matrices[0]
    band = (m.noise_f >= 500.0) & (m.noise_f <= 10000.0)
    loopback = m.noise[told.rig.interface.loopback.in_ - 1, band].mean()
    return bool(power_db(m.noise[told.inputs[mic], band].mean()) < power_db(loopback) + OPEN_INPUT_DB)


def of_patch(told: Told) -> Iterator[Finding]:
    """Drivers, microphones and turns that are not where they belong, and those that this check cannot tell apart."""
    verdict, rig = told.patch, told.rig
    if verdict is None:
        said = "too little was heard, or it was clipped or disturbed, to tell what is wired where"
        yield Finding("patch", "all", "untold", said)
        return
    best = verdict.best
    doubt = ""
    if verdict.others:
        doubt = "; or else " + ", or ".join(_patch_said(rig, p) for p in verdict.others[:3])
    for output, driver in enumerate(best.driver_at):
        if output != driver:
            is_, wanted = rig.driver[driver].name, rig.driver[output].name
            said = f"driver {is_!r} is heard where {wanted!r} should be (output {rig.driver[output].channel}){doubt}"
            yield Finding("patch", wanted, "fail", said, {"heard": is_, "output": rig.driver[output].channel})
    for place, mic in enumerate(best.mic_at):
        if place != mic:
            is_, wanted = rig.mic[mic].name, rig.mic[place].name
            said = f"microphone {is_!r} hears where {wanted!r} should (input {rig.mic[place].channel}){doubt}"
            yield Finding("patch", wanted, "fail", said, {"heard": is_, "input": rig.mic[place].channel})
    yield from _untold(told, verdict)
    if best.driver_at == tuple(range(len(rig.driver))) and best.mic_at == tuple(range(len(rig.mic))):
        by = "their levels and arrivals in the reference" if told.from_reference else "arrivals, ears and bands"
        beside = " but for the pairs above" if verdict.drivers_untold or verdict.mics_untold else ""
        yield Finding("patch", "all", "pass", f"drivers and microphones are where they belong{beside}, told by {by}")


def _untold(told: Told, verdict: Verdict) -> Iterator[Finding]:
    rig = told.rig
    advice = "" if told.from_reference else "; a --reference of an earlier check, or a turning stage, may tell"
    for what, names, pairs in (
        ("driver", rig.driver_names, verdict.drivers_untold),
        ("microphone", tuple(m.name for m in rig.mic), verdict.mics_untold),
    ):
        for a, b in sorted({(min(p), max(p)) for p in pairs}):
            said = f"{what}s {names[a]!r} and {names[b]!r} sound alike from here: a swap would go unseen{advice}"
            yield Finding("patch", f"{names[a]}, {names[b]}", "untold", said)


def _patch_said(rig: Description, patch: object) -> str:
    """Another explanation in a few words."""
    drivers = [(o, d) for o, d in enumerate(patch.driver_at) if o != d]  # type: ignore[attr-defined]
    mics = [(o, m) for o, m in enumerate(patch.mic_at) if o != m]  # type: ignore[attr-defined]
    words = [f"{rig.driver[d].name!r} on {rig.driver[o].name!r}'s output" for o, d in drivers]
    words += [f"{rig.mic[m].name!r} on {rig.mic[o].name!r}'s input" for o, m in mics]
    if patch.turned != 1:  # type: ignore[attr-defined]
        words.append("a stage that turns the other way" if patch.turned < 0 else "a stage that stands still")  # type: ignore[attr-defined]
    return " and ".join(words) or "the rig's own patch"


def of_places(told: Told) -> Iterator[Finding]:
    """Microphones that stand farther or nearer than the rig says."""
    if told.patch is None or told.loops[0].input is None:
        return
    c = speed_of_sound(told.rig.environment.temperature_c)
    for mic, late in zip(told.rig.mic, told.patch.late, strict=True):
        metres = late * c
        if abs(metres) > PLACE_M:
            table = "ears.distance_m" if mic.name in EARS else "polar.distance_m"
            how = "farther away" if metres > 0 else "nearer"
            said = f"stands {100 * abs(metres):.0f} cm {how} than {table} says"
            yield Finding("place", mic.name, "warn", said, {"farther_m": metres})


def of_polarity(told: Told) -> Iterator[Finding]:
    """Drivers and microphones that turn the sign over: the fewest that explain all signs."""
    order_out = told.patch.best.driver_at if told.patch else tuple(range(len(told.rig.driver)))
    order_in = told.patch.best.mic_at if told.patch else tuple(range(len(told.rig.mic)))
    wanted = told.expected.sign[np.ix_(list(order_in), list(order_out))]
    cosine = told.heard[0].sign[told.inputs] * wanted
    clear = np.isfinite(cosine) & (np.abs(cosine) >= UNCLEAR)
    signs = np.where(clear, np.sign(cosine), 0.0)
    if not clear.any():
        return
    mics, drivers, doubtful = _fewest(signs)
    for place, which in enumerate(order_in):
        if mics[place] < 0:
            name = told.rig.mic[which].name
            yield Finding("polarity", name, "fail", "this microphone is turned over: every driver falls there", {})
    for place, which in enumerate(order_out):
        if drivers[place] < 0:
            driver = told.rig.driver[which]
            said = f"turned over: pressure falls when output {told.rig.driver[place].channel} rises; swap its two wires"
            yield Finding("polarity", driver.name, "fail", said, {"cosine": float(np.nanmean(cosine[:, place]))})
    for place, which in enumerate(order_out):
        if np.isfinite(cosine[:, place]).any() and not clear[:, place].any():
            yield Finding("polarity", told.rig.driver[which].name, "untold", "the sign of its arrival is not clear")
    if (mics > 0).all() and (drivers > 0).all():
        yield Finding("polarity", "all", "pass", f"the same everywhere ({int(clear.sum())} paths)")
    elif doubtful:
        said = "as many signs are turned over as are not: it may be the other drivers or microphones"
        yield Finding("polarity", "all", "warn", said)


def _fewest(signs: Float) -> tuple[Float, Float, bool]:
    """Signs of microphones and of drivers whose products explain ``signs (mic, driver)``, as few negative as may be."""
    best: tuple[int, Float, Float] | None = None
    tie = False
    drivers = np.where(signs.sum(axis=0) < 0, -1.0, 1.0)
    for start in (np.ones(len(signs)), *(np.where(signs[:, d] != 0, signs[:, d], 1.0) for d in range(signs.shape[1]))):
        for flip in (1.0, -1.0):
            mics = flip * start
            drivers = np.where((signs * mics[:, None]).sum(axis=0) < 0, -1.0, 1.0)
            unexplained = int(np.sum(signs * mics[:, None] * drivers < 0))
            count = 100 * unexplained + int(np.sum(mics < 0) + np.sum(drivers < 0))
            if best is None or count < best[0]:
                best, tie = (count, mics, drivers), False
            elif count == best[0] and not (np.array_equal(mics, best[1]) and np.array_equal(drivers, best[2])):
                tie = True
    assert best is not None
    return best[1], best[2], tie


def of_levels(told: Told) -> Iterator[Finding]:
    """What the sweeps to come will reach at the microphones: headroom, level, signal to noise."""
    matrix = told.matrices[0]
    for i, mic in enumerate(told.rig.mic):
        row = told.inputs[i]
        if not told.there[i].any():
            continue
        peaks = [float(np.max(np.abs(r[row]))) for r in matrix.responses[: len(told.rig.driver)]]
        loudest = int(np.argmax(peaks))
        headroom = -float(db(told.sweep_peak * peaks[loudest]))
        spl = float(db(told.sweep_peak * peaks[loudest] / np.sqrt(2.0) * told.pascals(i) / P_REF))
        values = {"headroom_db": headroom, "loudest_db_spl": spl, "by": told.rig.driver_names[loudest]}
        said = f"the sweep will reach {spl:.0f} dB SPL and leave {headroom:.0f} dB of headroom"
        outcome: Outcome = "pass"
        if headroom < 0:
            outcome, said = "fail", f"the sweep would clip it by {-headroom:.0f} dB: lower sweep.level_dbfs or its gain"
        elif headroom < HEADROOM_DB:
            outcome, said = "warn", f"{said}: at least {HEADROOM_DB:g} dB is wise"
        elif spl > told.rig.limits.loudest_db_spl:
            outcome, said = "warn", f"{said}: above limits.loudest_db_spl = {told.rig.limits.loudest_db_spl:g}"
        yield Finding("level", mic.name, outcome, said, values)
    yield from _of_snr(told)
    yield from _of_drivers(told)


def _of_snr(told: Told) -> Iterator[Finding]:
    """Signal to noise of the sweep: ``A^2 L |H|^2 / (4 f (N0 / 2) T)``, the worst octave of each driver's band."""
    matrix = told.matrices[0]
    for i, mic in enumerate(told.rig.mic):
        if not told.there[i].any():
            continue
        worst, where = np.inf, ""
        for o, driver in enumerate(told.rig.driver):
            f = matrix.comb.frequencies(o)
            density = np.interp(f, matrix.noise_f, matrix.noise[told.inputs[i]])
            power = np.abs(matrix.responses[o][told.inputs[i]]) ** 2
            snr = told.sweep_peak**2 * told.sweep_rate * power / (2.0 * f * np.maximum(density, 1e-30) * told.window_s)
            for centre in OCTAVES:
                inside = (f >= centre / np.sqrt(2)) & (f < centre * np.sqrt(2)) & (f >= 2 * driver.band_hz[0])
                level = float(power_db(np.mean(snr[inside]))) if np.count_nonzero(inside) > 2 else np.inf
                if told.there[i, o] and level < worst:
                    worst, where = level, f"{driver.name}, {centre:g} Hz"
        if not np.isfinite(worst):
            continue
        outcome: Outcome = "fail" if worst < SNR_DB[0] else "warn" if worst < SNR_DB[1] else "pass"
        more = (
            ""
            if outcome == "pass"
            else f": raise sweep.seconds, sweep.repeats or the level by {SNR_DB[1] - worst:.0f} dB"
        )
        said = f"the sweep will stand at least {worst:.0f} dB over the noise ({where}){more}"
        yield Finding("snr", mic.name, outcome, said, {"worst_db": worst, "at": where})


def _of_drivers(told: Told) -> Iterator[Finding]:
    """Drivers that are much weaker than the others, or than they were."""
    heard, wanted = told.heard[0], told.expected
    mics = [int(i) for i in np.flatnonzero(told.there.any(axis=1))]
    rows = [told.inputs[i] for i in mics]
    if not rows:
        return
    order = told.patch.best.driver_at if told.patch else tuple(range(len(told.rig.driver)))
    known = (heard.snr_db[rows] > 3.0) & (wanted.level_db[mics][:, list(order)] > -200.0)
    low = np.array(OCTAVES) <= 1000.0 if not told.from_reference else np.ones(len(OCTAVES), dtype=bool)
    rest = np.where(known & low, heard.level_db[rows] - wanted.level_db[mics][:, list(order)], np.nan)
    level = np.array([np.nanmean(rest[:, o]) if np.isfinite(rest[:, o]).any() else np.nan for o in range(len(order))])
    usual = 0.0 if told.from_reference else float(np.nanmedian(level)) if np.isfinite(level).any() else 0.0
    for place, which in enumerate(order):
        off, name = float(level[place] - usual), told.rig.driver[which].name
        if told.from_reference and abs(off) > CHANGED_DB[0]:
            outcome: Outcome = "fail" if abs(off) > CHANGED_DB[1] else "warn"
            said = f"{off:+.1f} dB against the reference (limits {CHANGED_DB[0]:g} and {CHANGED_DB[1]:g} dB)"
            yield Finding("level", name, outcome, said, {"change_db": off})
        elif not told.from_reference and off < -WEAK_DB:
            said = f"{-off:.0f} dB weaker than the other drivers: check its gain, or its wiring"
            yield Finding("level", name, "warn", said, {"below_others_db": -off})


def of_noise(told: Told) -> Iterator[Finding]:
    """Noise floor of each microphone, in octaves; hum if its lines stand out."""
    m = told.matrices[0]
    for i, mic in enumerate(told.rig.mic):
        density = m.noise[told.inputs[i]] * told.pascals(i) ** 2
        step = m.noise_f[1] - m.noise_f[0]
        bands = {}
        for centre in OCTAVES:
            inside = (m.noise_f >= centre / np.sqrt(2)) & (m.noise_f < centre * np.sqrt(2))
            bands[f"{centre:g}"] = float(power_db(np.sum(density[inside]) * step / P_REF**2)) if inside.any() else None
        total = float(power_db(np.sum(density[m.noise_f >= 20.0]) * step / P_REF**2))
        listed = " ".join(f"{level:.0f}" for level in bands.values() if level is not None)
        said = f"{total:.0f} dB SPL; octaves from {OCTAVES[0]:g} Hz: {listed}"
        hum = power_db(density[1:16].max() * step / P_REF**2)
        outcome: Outcome = "pass"
        if hum > total - 1.0 and hum > 40.0:
            outcome, said = "warn", f"{said}: most of it below 300 Hz, is there hum?"
        yield Finding("noise", mic.name, outcome, said, {"total_db_spl": total, "octaves_db_spl": bands})


def all_of(told: Told) -> list[Finding]:
    """Every finding, in the order in which a set-up is put right."""
    found = [*of_loopback(told), *of_microphones(told), *of_amplifier(told), *of_patch(told), *of_places(told)]
    return [*found, *of_polarity(told), *of_levels(told), *of_noise(told)]


def allowed_peak(rig: Description, level_dbfs: float | None, quieter_db: float) -> float:
    """Peak of each comb (linear): as asked, else so far below the session's sweep.

    Raises
    ------
    BadInput
        It is above the rig's ceiling, or no level at all.
    """
    asked = rig.sweep.level_dbfs - quieter_db if level_dbfs is None else level_dbfs
    if not -120.0 <= asked <= rig.limits.ceiling_dbfs:
        raise BadInput(
            f"--level-dbfs: {asked:g} dBFS is not between -120 and limits.ceiling_dbfs = {rig.limits.ceiling_dbfs:g}"
        )
    return float(from_db(asked))
