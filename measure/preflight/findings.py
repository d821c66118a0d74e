"""Findings from the observations of a check: loopback, microphones, amplifier, wiring, polarity, levels, noise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from sweetspot.measure.preflight.finding import Finding, Outcome
from sweetspot.measure.preflight.levels import of_levels, of_noise
from sweetspot.measure.preflight.paths import RESIDUAL_DB, Observation, Patch, WiringVerdict, in_sign_band
from sweetspot.rigs.names import listed
from sweetspot.rigs.rig_file import EARS, Description
from sweetspot.rigs.units import Float, db, power_db, speed_of_sound

UNCLEAR = 0.35
"""Below this cosine the phase of an arrival is not called a sign."""

STRAY_S = 1e-3
"""An arrival that differs by more from the geometry than most of its microphone's arrivals do is not the sound."""

OPEN_INPUT_DB = 2.0
"""Noise of a microphone input re the loopback's below which it is probably unplugged, dB."""

DRIFT_PPM = 0.5
GAIN_DB = -40.0
RIPPLE_DB = 3.0
TOP_DB = -20.0
PLACE_M = 0.15
"""Distances that differ more than this from the rig's are noted."""


def of_loopback(observed: Observation) -> Iterator[Finding]:
    """The loopback cable, and the clocks measured by it."""
    cable, fs, loop = observed.rig.interface.loopback, observed.rig.fs, observed.loops[0]
    name = f"out {cable.out}, in {cable.in_}"
    if loop.input is None:
        yield Finding(
            "loopback", name, "fail", f"output {cable.out} reaches no input: plug its cable into input {cable.in_}"
        )
        return
    if loop.input != cable.in_ - 1:
        text = f"output {cable.out} arrives at input {loop.input + 1} instead of input {cable.in_}"
        yield Finding("loopback", name, "fail", text + ": replug its cable, or change interface.loopback")
        return
    level = float(db(loop.gain))
    values = {"latency_samples": loop.latency * fs, "latency_ms": 1e3 * loop.latency, "gain_db": level}
    text = f"latency {loop.latency * fs:.2f} samples ({1e3 * loop.latency:.2f} ms), gain {level:.1f} dB"
    outcome: Outcome = "pass"
    if level < GAIN_DB:
        outcome, text = "fail", f"{text}: at least {GAIN_DB:g} dB is needed; raise the gain of its input"
    elif loop.gain < 0:
        outcome, text = "warn", f"{text}, polarity inverted: by the interface or the cable"
    elif loop.ripple_db > RIPPLE_DB and loop.residual_db < RESIDUAL_DB:
        outcome = "fail"
        text = f"{text}, but its response varies by {loop.ripple_db:.1f} dB (limit {RIPPLE_DB:g}): is it a plain cable?"
    yield Finding("loopback", name, outcome, text, values)
    moved = [abs(one.latency - loop.latency) * fs for one in observed.loops[1:] if one.input is not None]
    if moved and max(moved) > 0.05:
        text = f"latency moved by {max(moved):.2f} samples between two captures; each capture has its own reference"
        yield Finding("loopback", "latency", "warn", text, {"moved_samples": max(moved)})
    yield from _of_clock(observed)


def _of_clock(observed: Observation) -> Iterator[Finding]:
    worst = max(observed.loops, key=lambda one: abs(one.drift_ppm))
    values = {"drift_ppm": worst.drift_ppm, "top_db": worst.top_db, "residual_db": worst.residual_db}
    fs = observed.rig.fs
    if worst.residual_db > RESIDUAL_DB and abs(worst.drift_ppm) > DRIFT_PPM:
        text = (
            f"recording and playing differ by {worst.drift_ppm:.1f} ppm over two periods (limit {DRIFT_PPM:g}): "
            "different clocks, or samples lost; use one device for both, or a larger interface.blocksize"
        )
        yield Finding("clock", f"{fs} Hz", "fail", text, values)
    elif worst.residual_db > RESIDUAL_DB:
        text = f"the loopback changes by {worst.residual_db:.0f} dB from one period to the next (limit {RESIDUAL_DB:g})"
        yield Finding("clock", f"{fs} Hz", "fail", text + ": samples are lost or disturbed", values)
    elif worst.top_db < TOP_DB:
        text = f"the loopback loses {-worst.top_db:.0f} dB below {0.45 * fs / 1000:.1f} kHz: something resamples; set "
        yield Finding("clock", f"{fs} Hz", "fail", text + "the device and its server to the rig's fs", values)
    else:
        text = f"playing and recording share a clock ({abs(worst.drift_ppm):.3f} ppm apart), nothing resamples"
        yield Finding("clock", f"{fs} Hz", "pass", text, values)


def of_amplifier(observed: Observation) -> Iterator[Finding]:
    """Drivers without signal at any microphone, or all of them."""
    there, names = observed.there, observed.rig.driver_names
    if not there.any():
        if all(_open(observed, i) for i in range(len(observed.inputs))):
            text = "no microphone receives any driver, and their inputs are as quiet as one with nothing plugged in"
            yield Finding("amplifier", "all", "fail", text + ": check microphones, preamplifiers, then the amplifier")
        else:
            text = f"no signal from any of {len(names)} drivers; the microphones' noise is there: is the amplifier on?"
            yield Finding("amplifier", "all", "fail", text)
        return
    hearing = there.any(axis=1)
    for driver, heard in zip(observed.rig.driver, there[hearing].T, strict=True):
        if not heard.any():
            text = f"no signal from output {driver.channel}: check its amplifier channel and its cable"
            yield Finding("amplifier", driver.name, "fail", text)
        elif not heard.all():
            silent = [
                m.name for m, k in zip(np.array(observed.rig.mic, dtype=object)[hearing], heard, strict=True) if not k
            ]
            yield Finding(
                "amplifier", driver.name, "warn", f"no signal at {', '.join(silent)}, where other drivers arrive"
            )
    if there[hearing].any(axis=0).all():
        text = "signal from the driver" if len(names) == 1 else f"signal from all {len(names)} drivers"
        yield Finding("amplifier", "all", "pass", text)


def of_microphones(observed: Observation) -> Iterator[Finding]:
    """Microphones without signal, or that clip."""
    there = observed.there
    for i, mic in enumerate(observed.rig.mic):
        row = observed.inputs[i]
        best = float(observed.heard[0].snr_db[row].max())
        clipped = int(max(m.clipped[row] for m in observed.matrices))
        if observed.matrices[0].still[row]:
            text = f"input {mic.channel} gives one constant value: nothing is converted there; is the channel on?"
            yield Finding("microphone", mic.name, "fail", text)
        elif clipped:
            text = f"input {mic.channel} clips ({clipped} samples at full scale): lower its preamplifier's gain"
            yield Finding("microphone", mic.name, "fail", text, {"clipped": clipped})
        elif there.any() and not there[i].any():
            why = "as quiet as an input with nothing plugged in" if _open(observed, i) else "but it has its own noise"
            text = f"no driver at input {mic.channel}, {why}: dead, unplugged, or without power"
            yield Finding("microphone", mic.name, "fail", text)
        elif there.any():
            text = f"input {mic.channel}, SNR up to {best:.0f} dB"
            yield Finding("microphone", mic.name, "pass", text, {"best_snr_db": best})


def _open(observed: Observation, mic: int) -> bool:
    """Whether an input is as quiet as the loopback's."""
    m = observed.matrices[0]
    band = (m.noise_f >= 500.0) & (m.noise_f <= 10000.0)
    loopback = m.noise[observed.rig.interface.loopback.in_ - 1, band].mean()
    return bool(power_db(m.noise[observed.inputs[mic], band].mean()) < power_db(loopback) + OPEN_INPUT_DB)


def of_patch(observed: Observation) -> Iterator[Finding]:
    """Wrong wiring of drivers and microphones, wrong turns, and pairs that this check cannot distinguish."""
    verdict, rig = observed.patch, observed.rig
    if verdict is None:
        text = "low SNR, clipped or disturbed captures: the wiring cannot be determined"
        yield Finding("patch", "all", "untold", text)
        return
    if not verdict.found:
        text = (
            f"only {100.0 * verdict.explained:.0f} % of the arrivals fit the rig file under any wiring: reverberation "
            "hides the direct sound, or drivers and microphones stand elsewhere; the wiring cannot be determined"
        )
        yield Finding("patch", "all", "untold", text, {"explained": verdict.explained})
        return
    best = verdict.best
    doubt = "".join(f"; or else {_patch_text(rig, p)}" for p in verdict.others[:3])
    for output, driver in enumerate(best.driver_at):
        if output != driver:
            is_, wanted = rig.driver[driver].name, rig.driver[output].name
            text = f"driver {is_!r} is connected in place of {wanted!r} (output {rig.driver[output].channel}){doubt}"
            yield Finding("patch", wanted, "fail", text, {"heard": is_, "output": rig.driver[output].channel})
            doubt = ""  # once
    for place, mic in enumerate(best.mic_at):
        if place != mic:
            is_, wanted = rig.mic[mic].name, rig.mic[place].name
            text = f"microphone {is_!r} is connected in place of {wanted!r} (input {rig.mic[place].channel}){doubt}"
            yield Finding("patch", wanted, "fail", text, {"heard": is_, "input": rig.mic[place].channel})
            doubt = ""
    yield from _ambiguous(observed, verdict)
    if best.driver_at == tuple(range(len(rig.driver))) and best.mic_at == tuple(range(len(rig.mic))):
        by = "their levels and arrivals in the reference" if observed.from_reference else "arrivals, ears and bands"
        beside = " but for the pairs above" if verdict.ambiguous_drivers or verdict.ambiguous_mics else ""
        yield Finding(
            "patch", "all", "pass", f"drivers and microphones are wired as stated{beside}, identified by {by}"
        )


def _ambiguous(observed: Observation, verdict: WiringVerdict) -> Iterator[Finding]:
    rig = observed.rig
    advice = "" if observed.from_reference else "; an earlier check as --reference, or a turning stage, may help"
    for what, names, pairs in (
        ("driver", rig.driver_names, verdict.ambiguous_drivers),
        ("microphone", tuple(m.name for m in rig.mic), verdict.ambiguous_mics),
    ):
        for alike in _groups(pairs):
            each = listed([repr(names[i]) for i in alike])
            text = f"{what}s {each} respond alike: a swap would go undetected{advice}"
            yield Finding("patch", ", ".join(names[i] for i in alike), "untold", text)


def _groups(pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Sets of which every two are a pair, in order."""
    alike = {frozenset(pair) for pair in pairs}
    groups: list[set[int]] = []
    for pair in sorted(tuple(sorted(p)) for p in alike):
        home = next((g for g in groups if all(i == j or frozenset((i, j)) in alike for i in pair for j in g)), None)
        if home is None:
            groups.append(set(pair))
        else:
            home.update(pair)
    return [sorted(g) for g in groups]


def _patch_text(rig: Description, patch: Patch) -> str:
    """Another explanation in a few words."""
    drivers = [(o, d) for o, d in enumerate(patch.driver_at) if o != d]
    mics = [(o, m) for o, m in enumerate(patch.mic_at) if o != m]
    words = [f"{rig.driver[d].name!r} on {rig.driver[o].name!r}'s output" for o, d in drivers]
    words += [f"{rig.mic[m].name!r} on {rig.mic[o].name!r}'s input" for o, m in mics]
    if patch.turned != 1:
        words.append("a stage that turns the other way" if patch.turned < 0 else "a stage that stands still")
    return " and ".join(words) or "the wiring of the rig file"


def of_places(observed: Observation) -> Iterator[Finding]:
    """Microphones farther or nearer than in the rig file."""
    if observed.patch is None or not observed.patch.found or observed.loops[0].input is None:
        return
    c = speed_of_sound(observed.rig.environment.temperature_c)
    for mic, late in zip(observed.rig.mic, observed.patch.late, strict=True):
        metres = late * c
        if abs(metres) > PLACE_M:
            table = "ears.distance_m" if mic.name in EARS else "polar.distance_m"
            how = "farther away" if metres > 0 else "nearer"
            text = f"stands {100 * abs(metres):.0f} cm {how} than {table} says"
            yield Finding("place", mic.name, "warn", text, {"farther_m": metres})


def of_polarity(observed: Observation) -> Iterator[Finding]:
    """Drivers and microphones that turn the sign over: the fewest that explain all signs."""
    if observed.patch is not None and not observed.patch.found:
        yield Finding("polarity", "all", "untold", "the direct sound is not found: polarities cannot be determined")
        return
    order_out = observed.patch.best.driver_at if observed.patch else tuple(range(len(observed.rig.driver)))
    order_in = observed.patch.best.mic_at if observed.patch else tuple(range(len(observed.rig.mic)))
    wanted = observed.expected.sign[np.ix_(order_in, order_out)]
    cosine = observed.heard[0].sign[observed.inputs] * wanted
    late = observed.heard[0].arrival[observed.inputs] - observed.expected.arrival[0][np.ix_(order_in, order_out)]
    with np.errstate(invalid="ignore"):
        alike = np.abs(late[:, :, None] - late[:, None, :]) < STRAY_S
    most = alike.sum(axis=-1)
    usual = alike[np.arange(len(late)), np.argmax(most, axis=-1)] & (most.max(axis=-1, keepdims=True) > 1)
    clear = (np.abs(np.nan_to_num(cosine)) >= UNCLEAR) & (usual | (np.isfinite(late).sum(axis=-1, keepdims=True) == 1))
    edges = np.log2([driver.band_hz[0] for driver in observed.rig.driver])
    clear &= np.abs(edges[list(order_out)] - edges) < 1.0  # a sign is read re the filter of who belongs to the output
    signs = np.where(clear, np.sign(cosine), 0.0)
    if not clear.any():
        return
    names = [observed.rig.mic[which].name for which in order_in]
    ears = [row for row, name in enumerate(names) if name in EARS and not observed.from_reference]
    treble = np.array([not in_sign_band(f) for f in observed.heard[0].frequencies[: len(observed.rig.driver)]])
    own, apart = signs.copy(), np.where(treble, signs[ears], 0.0)  # a head's phase there is unrelated to that below
    own[np.isin(np.arange(len(own)), ears)[:, None] & treble] = 0.0
    mics, drivers, doubtful = _fewest(np.vstack([own, apart]))
    turned_over = {name for name, row, sign in zip(names, own, mics, strict=False) if sign < 0 and row.any()}
    above = {names[row]: sign for row, sign in zip(ears, mics[len(names) :], strict=True)}
    turned_above = {name for name, sign in above.items() if sign < 0}
    heard = {name for name, row in zip(names, own, strict=True) if row.any()}
    own_phase = (bool(heard & set(EARS)) and heard & set(EARS) <= turned_over) or turned_above == set(EARS)
    if own_phase and not observed.from_reference:
        turned_over -= set(EARS)  # a head with ear canals turns the phase by itself
        text = "every driver arrives with falling pressure at both ears alike: the head's phase, or both inverted"
        yield Finding("polarity", "ears", "warn", text)
    elif len(turned_above) == 1 and not turned_above & turned_over:
        yield Finding("polarity", turned_above.pop(), "untold", "the polarity of the tweeters' arrival is ambiguous")
    for name in names:
        if name in turned_over:
            yield Finding(
                "polarity", name, "fail", "this microphone is inverted: every driver arrives with falling pressure", {}
            )
    for place, which in enumerate(order_out):
        if drivers[place] < 0:
            driver = observed.rig.driver[which]
            text = (
                f"inverted: pressure falls when output {observed.rig.driver[place].channel} rises; swap its two wires"
            )
            yield Finding("polarity", driver.name, "fail", text, {"cosine": float(np.nanmean(cosine[:, place]))})
    for place, which in enumerate(order_out):
        if np.isfinite(cosine[:, place]).any() and not clear[:, place].any():
            yield Finding(
                "polarity", observed.rig.driver[which].name, "untold", "the polarity of its arrival is ambiguous"
            )
    if (mics > 0).all() and (drivers > 0).all():
        yield Finding("polarity", "all", "pass", f"the same for all ({int(clear.sum())} paths)")
    elif doubtful:
        text = "as many polarities are inverted as not: the others may be the inverted ones"
        yield Finding("polarity", "all", "warn", text)


def _fewest(signs: Float) -> tuple[Float, Float, bool]:
    """Signs of microphones and drivers whose products explain ``signs (mic, driver)``, with the fewest negative
    ones."""
    best: tuple[int, Float, Float] | None = None
    tie = False
    drivers = np.where(signs.sum(axis=0) < 0, -1.0, 1.0)
    columns = signs.T
    pairs = (np.where(one != 0, one, other) for one in columns for other in columns)
    for start in (np.ones(len(signs)), *(np.where(pair != 0, pair, 1.0) for pair in pairs)):
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


def all_of(observed: Observation) -> list[Finding]:
    """All findings, in the order in which to fix a set-up."""
    found = [
        *of_loopback(observed),
        *of_microphones(observed),
        *of_amplifier(observed),
        *of_patch(observed),
        *of_places(observed),
    ]
    return [*found, *of_polarity(observed), *of_levels(observed), *of_noise(observed)]
