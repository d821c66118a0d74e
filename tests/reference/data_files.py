"""Writes the reference of the HDF5 files: ``python tests/reference/data_files.py RUN MODEL QUICK``.

RUN is a run with all three files, MODEL a model of measured units, QUICK a run whose ears the model estimated.

What a file holds is read from the file; what it means stands below. A member without a meaning is an error, so that the
reference cannot fall behind the program.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import h5py

PAGE = Path(__file__).resolve().parents[2] / "sweetspot" / "data_files.md"

HEAD = """# session.h5, filterset.h5, verify.h5, model.h5

Written by `python tests/reference/data_files.py RUN MODEL QUICK` from a run's files, a model of measured units and a
run estimated by it; a test checks it. HDF5, default file format, gzip with shuffle where compressed, Fletcher-32 on
every data set (except `taps`, which are contiguous so that other tools can address them), and `sha256` of its content
as an attribute. SET is `ears` or `polar`, and with such microphones `monitor` (fixed in the test box) or `device`
(built into the product); in `session.h5` sources are drivers, in `verify.h5` programs. Time is the last axis. At
`monitor` and `device` one capture has all sources, with staggered starts: its source is 97. `monitor.h5`, which
`sweetspot line` writes, is a `verify.h5` with that set only and no verdict. A capture spliced from disturbed ones has
the attribute `spliced`, and a group `spliced/SET/pPPP_sSS_rRR`: `runs` (captures of the position, from 1; a single one
was kept unspliced), `weights` (capture, mic, column, band: the share of each, columns `column_s` apart, bands at
`f_hz`), `parts` (JSON: excluded parts), `stderr` (source, mic, band) of the responses' spectra, and `harmonics`
(source, order, mic, band), its upper bound at harmonics 2 to 5. Captures of converters of up to 24 bits are stored as
integer counts (int32, without loss): a sample is (count - `offset`) / `full_scale`. `calibrate --bank` adds the
group `bank` to `filterset.h5`: `taps` (place, program, driver, tap; float32), `places` (x and y, m from the middle of
the device; yaw, rad), `prediction` (one row a place), `design` (text of the bank.toml), and the attributes `default`
(row of the default place), `nearest_m`, `headroom_db`, `delay_samples`, `session_sha256`.
"""

MODEL_HEAD = """## model.h5

Written by `sweetspot fleet learn`. A path is one microphone at one position of a set; paths count through the sets
`ears`, `polar`, `monitor`, `device` in this order, position before microphone. Level is in nepers (8.686 dB), phase in
rad, and a variance holds for each of the two alike. `units`: serial numbers; `rig_sha256`: of their rig file;
`gauge_variance`: how well monitors repeat; `distance`, `distance_spread`, `distance_count`: where the tail of good
drivers' log distances begins, its mean excess, and of how many (units left out in turn).
"""

QUICK_HEAD = """## session.h5 of one capture at the monitors

Written by `sweetspot measure quick` and `sweetspot line`: the raw capture is kept, `ears` and `polar` are estimated,
and their `raw/SET` says in `estimated` from what. A full session on a rig with such microphones holds `monitor` and
`device` like any other set.
"""

SHAPES = {
    "f": "frequency",
    "common": "frequency",
    "local": "frequency",
    "near/common": "frequency",
    "near/local": "frequency",
    "components": "component, driver, path, frequency, level or phase",
    "sets/SET/directions": "path, x y z",
    "sets/SET/scale": "frequency",
    "sets/SET/missed": "path, frequency",
    "SET/relative_error": "position, mic, source, bin",
    "SET/ir": "position, mic, source, tap",
    "SET/stderr": "position, mic, source, bin",
    "SET/coherence": "position, mic, source, bin",
    "SET/snr_db": "position, mic, source",
    "SET/positions": "position",
    "SET/mics": "mic",
    "SET/drivers": "driver",
    "SET/programs": "program",
    "raw/SET/pPPP_sSS_rRR": "channel, sample",
    "raw/SET/played": "sample",
    "taps": "program, driver, tap",
    "detectors": "form, program, tap",
    "prediction/design": "position, ear, stimulus, frequency",
    "prediction/score": "position, ear, stimulus, frequency",
    "prediction/polar": "direction, frequency",
    "prediction/at_ears": "ear, driver, tap",
    "prediction/plain": "side, driver, tap",
    "prediction/f": "frequency",
    "prediction/azimuths": "direction",
    "prediction/target_db": "frequency",
    "prediction/far_ear": "frequency",
    "prediction/limits": "side",
    "prediction/reference": "side",
    "prediction/whole/score": "position, ear, stimulus, frequency",
    "prediction/whole/early": "position, ear, stimulus, frequency",
    "prediction/whole/polar": "direction, frequency",
    "prediction/whole/polar_early": "direction, frequency",
    "prediction/whole/polar_noise": "direction, frequency",
    "prediction/whole/polar_power": "direction, frequency",
    "prediction/whole/end": "position",
    "prediction/whole/polar_end": "direction",
    "prediction/whole/ear_gains": "ear",
}

MEANING = {
    "f": "Frequencies of components and variances, Hz.",
    "components": "Principal components of the units' log ratios to their mean, so scaled that coefficients have unit "
    "variance; none from a single unit.",
    "common": "Residual variance of the components, common to all directions.",
    "local": "Residual variance of the components, of one direction.",
    "near": "Variances of whole deviations from the mean unit, for sets estimated by proximity only.",
    "near/common": "Common to all directions.",
    "near/local": "Of one direction.",
    "sets": "The mean unit.",
    "sets/SET": "Its responses in one set; `by_nearness`: whether this set is estimated without components.",
    "sets/SET/ir": "Mean impulse responses, Pa for a full-scale sample; `zero` is the tap of t = 0.",
    "sets/SET/stderr": "Their standard errors in every frequency bin, in the unit of the response.",
    "sets/SET/snr_db": "Signal-to-noise ratio, dB.",
    "sets/SET/positions": "As in `session.h5`.",
    "sets/SET/directions": "Unit vectors from the device to the microphone.",
    "sets/SET/mics": "Names of the microphones.",
    "sets/SET/drivers": "Names of the drivers.",
    "sets/SET/scale": "Factor on a posterior's variance before it is stated.",
    "sets/SET/missed": "Variance added to it: the part of this set that no monitor observes.",
    "SET/relative_error": "Squared error of the estimate, relative to the response's power.",
    "estimate": "Result of the model for the unit, JSON: its hash, distances, limit, findings.",
    "spliced": "Origin of the parts of each spliced capture.",
    "spliced/SET": "The same, by set.",
    "spliced/SET/pPPP_sSS_rRR": "One spliced capture.",
    "SET": "Responses derived from the raw captures; `closure` (JSON): closure error of the set.",
    "SET/ir": "Impulse responses, Pa for a full-scale sample; `zero` is the tap of t = 0, `band_hz` the judged band.",
    "SET/stderr": "Standard error of the response in every frequency bin, in the unit of the response.",
    "SET/coherence": "Coherence between repeats in every frequency bin, 0 to 1.",
    "SET/snr_db": "Signal-to-noise ratio of the response, dB.",
    "SET/positions": "Table: azimuth_deg, x, y, z in m, yaw_deg of the head, and the use (design, score, polar).",
    "SET/mics": "Names of the microphones, in the order of the axis.",
    "SET/drivers": "Names of the drivers, in the order of the axis.",
    "SET/programs": "Names of the stimuli: left, right, both.",
    "raw": "Captures as they were recorded; everything else can be derived again.",
    "raw/SET": "`channels` of every capture, the loopback last; `band_hz` and `swept_hz` of the sweep.",
    "raw/SET/pPPP_sSS_rRR": "A capture: position PPP, source SS, repeat RR (99 closes the set; others were rejected). "
    "`accepted` and `reason`, pose, latency `delay_s`, `clock_ppm`, `snr_db`, start and temperature.",
    "raw/SET/played": "Loopback signal, full scale = 1.",
    "image": "What a listener gets, of all arms, as measured, JSON.",
    "limits": "Limits of the verdict, JSON.",
    "through": "The processor, its form and latency, JSON.",
    "verdict": "The verdict with every metric, as `verify --json` prints it.",
    "taps": "Causal FIR filters, full scale = 1; programs left, right, centre. `delay_samples` is their own delay.",
    "design": "Text of the design.toml.",
    "detectors": "Filters from each program to the sound pressure at the loudest place over the SPL limit; of the "
    "filters, of the bypass.",
    "upmix": "Settings of the upmix.",
    "prediction": "Reference for the verification.",
    "prediction/f": "Frequencies, Hz.",
    "prediction/azimuths": "Directions of the polar set, rad.",
    "prediction/design": "Predicted at the design positions, Pa for a full-scale stimulus (complex).",
    "prediction/score": "Predicted at the held-out positions.",
    "prediction/polar": "Predicted phantom centre around the device.",
    "prediction/target_db": "Target cancellation, dB.",
    "prediction/far_ear": "Far ear over near ear of the virtual loudspeakers (complex).",
    "prediction/image": "What a listener gets, of all arms, as predicted, JSON.",
    "prediction/limits": "Active limit of each bin of the design, words joined by spaces.",
    "prediction/reference": "Reference drivers of the left and the right program, counted from 0.",
    "prediction/plain": "Plain stereo, for the bypass; time zero in the middle.",
    "prediction/at_ears": "Responses at the nominal head, for listening.",
    "prediction/ears": "Matching of the ears' microphones, dB.",
    "prediction/virtual": "Parameters of the virtual loudspeaker's far ear.",
    "prediction/whole": "The same for whole responses, room included.",
    "prediction/whole/score": "Predicted at the held-out positions, whole responses.",
    "prediction/whole/early": "The same, up to the first reflection.",
    "prediction/whole/polar": "Predicted phantom centre around the device, whole responses.",
    "prediction/whole/polar_early": "The same, up to the first reflection.",
    "prediction/whole/polar_noise": "Its noise, power.",
    "prediction/whole/polar_power": "Power of its drivers' responses.",
    "prediction/whole/end": "End of the gate at each held-out position, s.",
    "prediction/whole/polar_end": "End of the gate in each direction, s.",
    "prediction/whole/ear_gains": "Gains that match the ears, linear.",
    "prediction/whole/gate": "The gate at the ears: seconds, cycles, first reflection.",
    "prediction/whole/polar_gate": "The gate around the device.",
    "prediction/loudness": "Loudness re plain stereo at the same ceiling of the drivers, dB by kind of signal, JSON.",
    "prediction/zone": "The listening zone, JSON.",
    "prediction/pair": "The reference pair's responses at the ears.",
    "prediction/forms": "Width, stability and tone of forms for engines without an upmix, JSON (`calibrate --forms`).",
    "prediction/pareto": "Pareto front of width and depth, JSON (`calibrate --pareto`).",
}

OPTIONAL = {n: ("", "text", "", MEANING[n]) for n in ("prediction/forms", "prediction/pareto")}
"""Members of a filter set that only options of ``calibrate`` write; a test holds each equal to what a file has."""


def place(path: str) -> str:
    """A member's path with sets and captures made general."""
    path = (
        re.sub(r"(^|/)(ears|polar|monitor|device)(?=/|$)", r"\1SET", path)
        if not path.startswith("prediction")
        else path
    )
    return re.sub(r"p\d{3}_s\d{2}_r\d{2}.*", "pPPP_sSS_rRR", path)


def rows(file: Path) -> dict[str, tuple[str, str, str, str]]:
    """Shape, type, attributes and meaning of every member of a file, by its general path.

    Raises
    ------
    KeyError
        A member has no meaning yet.
    """
    found: dict[str, tuple[str, str, str, str]] = {}
    attributes: dict[str, set[str]] = {}

    def visit(name: str, member: Any) -> None:
        where = place(name)
        attributes.setdefault(where, set()).update(set(member.attrs) - {"sha256", "axes"})
        names = ", ".join(f"`{a}`" for a in sorted(attributes[where]))
        is_data = isinstance(member, h5py.Dataset)
        kind = "" if not is_data else "table" if member.dtype.names else "text" if member.dtype.kind in "SO" else ""
        kind = kind or (str(member.dtype) if is_data else "group")
        found[where] = SHAPES.get(where, SHAPES.get(where.removeprefix("sets/"), "")), kind, names, MEANING[where]

    with h5py.File(file, "r") as opened:
        root = ", ".join(f"`{a}`" for a in sorted(opened.attrs))
        found["/"] = "", "group", root, "The file: schema, versions, hashes of its sources."
        opened.visititems(visit)
    return found


def page(run: Path) -> str:
    """The reference of session, filter set and verification, from the files of a run."""
    lines = [HEAD]
    for name in ("session.h5", "filterset.h5", "verify.h5"):
        lines += [f"## {name}\n", *_table(run / name, OPTIONAL if name == "filterset.h5" else {})]
    return "\n".join(lines)


def quick_page(model: Path, run: Path) -> str:
    """The reference of a model, and of the session of a run whose ears it estimated."""
    return "\n".join([MODEL_HEAD, *_table(model), QUICK_HEAD, *_table(run / "session.h5")])


def _table(file: Path, more: Mapping[str, tuple[str, str, str, str]] = MappingProxyType({})) -> list[str]:
    """A file's members, one row each, with those that it has not but others do."""
    head = ["| member | axes | type | attributes | meaning |", "|---|---|---|---|---|"]
    return [*head, *(f"| `{k}` | {' | '.join(v)} |" for k, v in sorted({**more, **rows(file)}.items())), ""]


if __name__ == "__main__":
    made, known, quick = map(Path, sys.argv[1:])
    PAGE.write_text(f"{page(made)}\n{quick_page(known, quick)}", encoding="utf-8")
