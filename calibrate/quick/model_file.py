"""model.h5: a golden model, written atomically, and verified when read."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from sweetspot.calibrate.quick.model import GoldenModel, Leftover, ModelSet
from sweetspot.calibrate.quick.unit import SETS
from sweetspot.measure.impulse import POSITION, ImpulseResponse
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.storage import File, Group, Kind, built
from sweetspot.rigs.storage import write as write_file

REMEDY = "make a model with: sweetspot fleet learn DIR --out model.h5"
PACKED: dict[str, Any] = {"shuffle": True, "compression": "gzip", "compression_opts": 1}


def write(path: Path, model: GoldenModel) -> None:
    """Write a model; the old file stays until the new one is whole. The same model gives the same bytes.

    Raises
    ------
    BadInput
        The folder is missing or cannot be written.
    """

    def build(root: Group) -> None:
        root.attrs.update(
            sweetspot_version=version("sweetspot"),
            units=list(model.units),
            rig_sha256=model.rig_sha256,
            temperature_c=model.temperature_c,
            gauge_variance=model.gauge,
            distance=model.distance,
            distance_spread=model.distance_spread,
            distance_count=model.count,
            lowest_hz=list(model.lowest_hz),
        )
        for name in ("f", "common", "local"):
            root.create_data(name, getattr(model, name))
        near = root.create_group("near")
        near.create_data("common", model.near.common)
        near.create_data("local", model.near.local)
        made = root.create_data("components", _two(model), **PACKED)
        made.attrs["axes"] = "component driver path frequency (level in nepers, phase in rad)"
        sets = root.create_group("sets")
        for name, one in model.sets.items():
            group = sets.create_group(name)
            _set(group, one)
            group.create_data("scale", model.scale[name])
            group.create_data("missed", model.missed[name])
            group.attrs.update(by_nearness=name in model.by_nearness)

    write_file(path, built(KIND, build))


def _two(model: GoldenModel) -> np.ndarray:
    c = model.components
    return np.stack([c.real, c.imag], axis=-1).astype(np.float32)


def _set(group: Group, one: ModelSet) -> None:
    ir = one.ir
    data = group.create_data("ir", ir.h.astype(np.float32), **PACKED)
    data.attrs.update(fs=ir.fs, zero=ir.zero, unit=ir.unit, band_hz=ir.band, axes="position mic driver tap")
    group.create_data("stderr", one.stderr.astype(np.float32), **PACKED)
    group.create_data("snr_db", ir.snr_db.astype(np.float32))
    group.create_data("positions", ir.positions)
    group.create_data("directions", one.directions)
    group.create_data("mics", list(ir.mics))
    group.create_data("drivers", list(ir.drivers))


def read(path: Path) -> GoldenModel:
    """Read a model.

    Raises
    ------
    BadInput
        It is missing, damaged, changed since it was written, or no model.
    """
    with File.read(path, KIND) as file:
        return _model(file.root)


def _model(root: Group) -> GoldenModel:
    attrs = root.attrs
    held = root.group("sets")
    sets: dict[str, ModelSet] = {}
    first = 0
    for name in (n for n in SETS if n in held):
        sets[name] = one = _read_set(held.group(name), first)
        first += len(one.directions)
    if not {"ears", "monitor"} <= set(sets):
        raise BadInput(f"{root.path}: a model needs the sets ears and monitor; it holds {', '.join(sets)}. {REMEDY}")
    parts = np.asarray(root.data("components")[:], dtype=float)
    f = np.asarray(root.data("f")[:], dtype=float)
    wanted = (len(sets["ears"].ir.drivers), first, len(f), 2)
    if parts.ndim != 5 or parts.shape[1:] != wanted or not np.isfinite(parts).all():
        raise BadInput(f"{root.path}: components have shape {parts.shape}; (component, *{wanted}) is needed. {REMEDY}")
    curves = {n: np.asarray(root.data(n)[:], dtype=float) for n in ("common", "local", "near/common", "near/local")}
    scale, missed = (
        {n: np.asarray(held.group(n).data(what)[:], dtype=float) for n in sets} for what in ("scale", "missed")
    )
    shapes = {n: (len(one.directions), len(f)) for n, one in sets.items()}
    for name, curve, shape in (
        *((n, c, f.shape) for n, c in (*curves.items(), *scale.items())),
        *((n, c, shapes[n]) for n, c in missed.items()),
    ):
        if curve.shape != shape or not np.isfinite(curve).all() or np.any(curve < 0.0):
            raise BadInput(f"{root.path}: /{name} has shape {curve.shape}; {shape} numbers from 0 are needed. {REMEDY}")
    return GoldenModel(
        attrs.texts("units"),
        attrs.text("rig_sha256"),
        temperature_c=attrs.number("temperature_c", -60.0, 100.0),
        f=f,
        sets=sets,
        components=parts[..., 0] + 1j * parts[..., 1],
        common=curves["common"],
        local=curves["local"],
        near=Leftover(curves["near/common"], curves["near/local"]),
        by_nearness=frozenset(n for n in sets if bool(held.group(n).attrs.get("by_nearness", False))),
        scale=scale,
        missed=missed,
        gauge=attrs.number("gauge_variance", 0.0, 1e6),
        distance=attrs.number("distance", -100.0, 100.0),
        distance_spread=attrs.number("distance_spread", 0.0, 100.0),
        count=attrs.integer("distance_count", 0, 10**9),
        lowest_hz=_lowest(root, len(sets["ears"].ir.drivers)),
    )


def _lowest(root: Group, drivers: int) -> tuple[float, ...]:
    """Lower edges of the drivers' bands."""
    held = np.ravel(np.asarray(root.attrs["lowest_hz"], dtype=float))
    if len(held) != drivers or not np.isfinite(held).all():
        raise BadInput(f"{root.path}: lowest_hz has {len(held)} numbers; one of each of {drivers} drivers. {REMEDY}")
    return tuple(float(v) for v in held)


def _read_set(group: Group, first: int) -> ModelSet:
    data = group.data("ir")
    band = np.ravel(data.attrs["band_hz"])
    h = np.asarray(data[:], dtype=float)
    stderr = np.asarray(group.data("stderr")[:], dtype=float)
    if h.ndim != 4 or not np.isfinite(h).all() or stderr.shape != (*h.shape[:3], h.shape[3] // 2 + 1):
        raise BadInput(f"{group.path}: {group.name}/ir and its stderr do not match. {REMEDY}")
    try:
        ir = ImpulseResponse(
            h,
            fs=data.attrs.integer("fs", 1000, 768_000),
            positions=np.asarray(group.data("positions")[:], dtype=POSITION),
            mics=group.data("mics").texts(),
            drivers=group.data("drivers").texts(),
            zero=data.attrs.integer("zero", 0, h.shape[3] - 1),
            unit=data.attrs.text("unit"),
            snr_db=np.asarray(group.data("snr_db")[:], dtype=float),
            band=(float(band[0]), float(band[1])),
        )
    except (TypeError, ValueError, IndexError) as fault:
        raise BadInput(f"{group.path}: {group.name} is not a set of responses ({fault}). {REMEDY}") from fault
    return ModelSet(ir, stderr, np.asarray(group.data("directions")[:], dtype=float), first)


def _check(root: Group) -> None:
    _model(root)


KIND = Kind("sweetspot-model", 2, REMEDY, _check)
