"""What ``sweetspot calibrate`` does: the filters of a unit from its session, with what they are predicted to do."""

from __future__ import annotations

from pathlib import Path

from sweetspot.calibrate import design as designs
from sweetspot.calibrate import run
from sweetspot.measure import folder
from sweetspot.rigs.errors import BadInput, command
from sweetspot.rigs.progress import result, say, tracked
from sweetspot.rigs.storage import hash_ahead


def ready() -> None:
    """Load what every calibration needs at its beginning, while its words are read."""
    for step in ("without_ears", "kept_bank", "calibrate"):
        getattr(run, step)


def calibrate(
    run_folder: Path,
    *,
    design: Path | None,
    dial: bool,
    many: Path | None,
    drop_bank: bool,
    beside: bool,
    reasons: bool,
    beside_linear: bool,
    left_out: bool,
    as_json: bool,
) -> None:
    """The command with its options, which are explained there.

    Raises
    ------
    BadInput
        Files or options that do not go together, or cannot be used.
    """
    hash_ahead(run_folder / "session.h5")  # its SHA-256 goes into the filter set
    wanted, text = designs.read(design)
    for name in folder.changed_files(run_folder):
        say(f"{name}: changed since the run was measured; the run's copy is used")
    if run.without_ears(run_folder):
        if dial or beside or reasons or left_out or many or beside_linear:
            wanting = "--pareto, --compare, --explain, --forms, --cross-validate, --bank"
            raise BadInput(f"{run_folder}: has no ears set; {wanting} need one")
        with tracked("Calibrating", 1) as step:
            made = run.calibrate_beam(run_folder, wanted, text)
            step("centre")
        lines = [made.text, run.written(run_folder, made.filters), f"next: {command('report', run_folder)}"]
        result({"filterset": str(run_folder / "filterset.h5"), **made.to_dict()}, "\n".join(lines), as_json=as_json)
        return
    if many and drop_bank:
        raise BadInput("--bank makes a bank and --no-bank drops it: give only one of them")
    bank_wish = designs.read_bank(many) if many else None if drop_bank else run.kept_bank(run_folder)
    if bank_wish and not many:
        say(f"{run_folder}: its bank is fitted again, from the bank.toml in filterset.h5; --no-bank drops it")
    with tracked("Calibrating", run.parts_of_calibration(bank=bank_wish is not None, with_front=dial)) as step:
        fitted = run.calibrate(
            run_folder,
            wanted,
            text,
            left_out=left_out,
            with_zone=True,
            with_front=dial,
            with_forms=beside_linear,
            bank=bank_wish,
            drop_bank=bank_wish is None,
            step=step,
        )
    parts = [*run.fitted_parts(run_folder, fitted, wanted, with_front=dial, with_forms=beside_linear)]
    for kind in [k for k, asked in (("compare", beside), ("cross_validate", left_out)) if asked]:
        from sweetspot.calibrate.report import comparison  # matplotlib is slow to import

        found = run.compared(run_folder, wanted, left_out=kind == "cross_validate")
        picture = comparison(found, run_folder / f"{kind}.png")
        parts.append(run.compared_part(run_folder, found, picture, left_out=kind == "cross_validate"))
    if reasons:
        parts.append(run.explained_part(run_folder, fitted, wanted))
    data = {key: value for part in parts for key, value in part.data.items()}
    shown = "\n\n".join(part.text for part in parts)
    result(data, f"{shown}\nnext: {run.next_step(run_folder)}", as_json=as_json)
