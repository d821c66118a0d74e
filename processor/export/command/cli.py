"""``sweetspot export``: the filters as files for other engines."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from sweetspot.processor import files, store
from sweetspot.processor.cli import FilterSetArg, JsonOpt
from sweetspot.processor.dynamics import together
from sweetspot.processor.engine import matching
from sweetspot.processor.export.banks import (
    HOLD_ALL,
    INDEX,
    bank_bundles,
    bank_index,
    bank_switching,
    whole_bundle,
)
from sweetspot.processor.export.engines import ENGINES, STEREO, bundle
from sweetspot.processor.export.library import Places
from sweetspot.processor.export.options import FORMS, LINEAR_SHARE, FormRow, Options, forms_table, unused
from sweetspot.processor.export.running import LIMIT_DB, EngineComparison, check
from sweetspot.processor.export.unguarded import without_guard
from sweetspot.processor.filterset import FilterSet
from sweetspot.processor.run_folder import bank_within_rig, driver_limits, noted_within_rig
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.names import many
from sweetspot.rigs.progress import result, tracked

Form = StrEnum("Form", {f.upper(): f for f in FORMS})  # type: ignore[misc]
EngineName = StrEnum("EngineName", {e.upper(): e for e in ENGINES})  # type: ignore[misc]
NOT_RUN = 4
"""Exit code of a requested check that could not be run."""


def mount(app: typer.Typer) -> None:
    """Add the command to the roof."""
    app.command("export")(export)


def export(
    filterset: FilterSetArg,
    engine: Annotated[EngineName, typer.Option("--to", help="Target engine.")],
    out: Annotated[Path, typer.Option("--out", help="Output folder.")],
    checked: Annotated[
        bool,
        typer.Option(
            "--check", help="Run the engine and compare with the built-in one; exit code 4 if it could not run."
        ),
    ] = False,
    whole: Annotated[
        bool, typer.Option("--bank", help="All places of the bank: one folder each, and index.json.")
    ] = False,
    form: Annotated[
        Form,
        typer.Option("--form", help="Form for engines without an upmix: plain stereo, or linear with C = a (L + R)."),
    ] = Form("stereo"),
    share: Annotated[
        float | None,
        typer.Option("--share", min=0.0, max=0.5, help=f"Factor a of the linear form; {LINEAR_SHARE} if not given."),
    ] = None,
    block: Annotated[int, typer.Option("--block", min=0, help="Block size, samples; 0: the engine's default.")] = 0,
    capture: Annotated[str, typer.Option("--capture", help="Live input device, by the engine's name for it.")] = "",
    playback: Annotated[str, typer.Option("--playback", help="Live output device.")] = "",
    backend: Annotated[str, typer.Option("--backend", help="Live sound system, where the engine has several.")] = "",
    version: Annotated[
        int, typer.Option("--engine-version", help="Version of its configuration format; 0: newest.")
    ] = 0,
    other: Annotated[Path | None, typer.Option("--b", help="A second filter set for A/B: c, lv2 and pipewire.")] = None,
    as_json: JsonOpt = False,
) -> None:
    """Write the filters as files that another engine can load."""
    if share is not None and form.value != "linear":
        raise BadInput(f"--share {share:g} is the factor of the linear form: add --form linear, or omit --share")
    filters, changes = noted_within_rig(filterset)
    options = Options(
        form.value,
        LINEAR_SHARE if share is None else share,
        plain=store.plain_of(filterset, filters),
        block=block,
        capture=capture,
        playback=playback,
        backend=backend,
        version=version,
        limits=driver_limits(filterset, filters),
    )
    if other is not None:
        if whole:
            raise BadInput("--b is a second set for one place; --bank has a set for each place: omit one of them")
        filters, places = _pair(filters, noted_within_rig(other)[0], engine.value)
        options = replace(options, places=places)
    if whole:
        _export_bank(filterset, engine.value, options, out, checked, as_json)
        return
    filters, lowered_db, cost = without_guard(filters, engine.value, options)
    made = bundle(filters, engine.value, options)
    rows = [FormRow(**row) for row in store.predicted_forms(filterset)]
    more = [note for note in (cost, unused(engine.value, options)) if note]
    more += [_forms_text(filterset, rows)] if engine.value in STEREO else []
    made = replace(made, notes=(*made.notes, *more))
    files.write_all(out, made.everything())
    compared = check(filters, engine.value, made, options=options) if checked else None
    data: dict[str, Any] = {
        "out": str(out),
        "engine": engine.value,
        "files": sorted(made.everything()),
        "use": made.use,
    }
    data |= {"forms": [asdict(row) for row in rows]} if engine.value in STEREO else {}
    data |= {"changed_since": list(changes), "notes": list(made.notes), "gain_lowered_db": lowered_db}
    if compared:
        data |= {"error_db": compared.error_db, "passed": compared.passed, "not_run": compared.reason or None}
    head = f"{out}: {many(len(made.files), 'file')} for {engine.value}"
    lines = [head, *made.notes, f"Use: {made.use}", *_verdict(compared)]
    result(data, "\n".join(lines), as_json=as_json)
    if compared and not compared.passed:
        raise typer.Exit(NOT_RUN if compared.passed is None else 1)


def _forms_text(filterset: Path, rows: list[FormRow]) -> str:
    """Predicted metrics of the forms of an engine without an upmix; or the command for them."""
    if rows:
        return f"Forms of this unit, predicted:\n{forms_table(rows)}"
    return f"To compare the forms with the adaptive upmix: sweetspot calibrate {filterset} --forms, then export again"


def _pair(first: FilterSet, second: FilterSet, engine: str) -> tuple[FilterSet, Places]:
    """Two filter sets of one unit for one place, A and B, as one processor holds them; detectors cover both."""
    if engine not in HOLD_ALL:
        raise BadInput(f"{engine} holds one set of filters; --b is for {', '.join(HOLD_ALL)}")
    matching(first, second)
    if second.length > first.length or second.delay_samples != first.delay_samples:
        raise BadInput(
            f"--b has {second.length} taps and a delay of {second.delay_samples} samples, the first set {first.length} "
            f"and {first.delay_samples}: at most as many taps and the same delay are needed"
        )
    if bool(first.unheld_text) != bool(second.unheld_text):
        which = "the first set" if first.unheld_text else "--b"
        raise BadInput(f"one SPL limiter serves both sets, but of {which} {first.unheld_text or second.unheld_text}")
    more = np.pad(second.taps, ((0, 0), (0, 0), (0, first.length - second.length)))
    forms = zip(first.detectors, second.detectors, strict=True)
    both = replace(first, detectors=np.stack([together(a, b) for a, b in forms]))
    return both, Places(np.zeros((2, 3)), np.stack([first.taps, more]))


def _export_bank(filterset: Path, engine: str, options: Options, out: Path, checked: bool, as_json: bool) -> None:
    """Every place of a bank; ``checked`` runs the engine with the files of the default place."""
    bank, names = bank_within_rig(filterset), dict[str, list[str]]()
    lowered, cost = max(without_guard(bank.at(i), engine, options)[1:] for i in range(len(bank.places)))
    bank = bank.louder(-lowered)
    whole = [(".", whole_bundle(bank, engine, options))] if engine in HOLD_ALL else []
    with tracked("Exporting", len(bank.places)) as step:
        for name, one in whole or bank_bundles(bank, engine, options):
            noted = replace(one, notes=(*one.notes, cost)) if cost else one
            files.write_all(out / name, noted.everything())
            names[name] = sorted(noted.everything())
            step(name)
    listing = bank_index(bank, engine, names)
    files.write_all(out, {INDEX: listing} | bank_switching(bank, engine, options))
    data: dict[str, Any] = {"out": str(out), "engine": engine, "index": str(out / INDEX), "places": len(bank.places)}
    home = bank.at(bank.default)
    made = whole_bundle(bank, engine, options) if engine in HOLD_ALL else bundle(home, engine, options)
    compared = check(home, engine, made, options=options) if checked else None
    if compared:
        data |= {"error_db": compared.error_db, "passed": compared.passed, "not_run": compared.reason or None}
    switch = json.loads(listing)["switch"]
    data["gain_lowered_db"] = lowered
    head = f"{out}: {many(len(bank.places), 'place')} for {engine}, {INDEX}"
    lines = [head, f"To change: {switch}", *_verdict(compared)]
    lines += [cost] if cost else []
    result(data, "\n".join(lines), as_json=as_json)
    if compared and not compared.passed:
        raise typer.Exit(NOT_RUN if compared.passed is None else 1)


def _verdict(compared: EngineComparison | None) -> list[str]:
    if compared is None:
        return []
    if compared.error_db is None:
        return [f"check: not run, {compared.reason}"]
    found = "passed" if compared.passed else "FAILED"
    return [
        f"check: {found}, the engine differs from the built-in one by {compared.error_db:.1f} dB (limit "
        f"{LIMIT_DB:.0f} dB)"
    ]
