"""Production records of a verification: a line of JSON, a row of CSV, a JUnit file, and the operator's display."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from sweetspot.calibrate.verify import Verification
from sweetspot.rigs import names
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.names import cell
from sweetspot.rigs.storage import APPEND_S, alone_in, append, as_stored, json_value, write

JSONL, CSV, JUNIT = "verify.jsonl", "verify.csv", "verify.xml"
"""Names in the folder of records; the first two grow by a line a verification, the third is the run's own."""

LINE = "line.jsonl"
"""The production line's own record in that folder, a line a unit."""

COLUMNS = ("verified_utc", "unit", "rig", "run", "verdict", "reasons", "cause")


def record(verdict: Verification, about: Mapping[str, str]) -> dict[str, Any]:
    """One verification as plain data.

    Parameters
    ----------
    about
        ``verified_utc``, ``unit``, ``rig`` and ``run``.
    """
    return {
        **about,
        "verdict": verdict.verdict,
        "through": verdict.through.name if verdict.through else None,
        "latency_samples": verdict.through.latency_samples if verdict.through else None,
        "reasons": list(verdict.reasons),
        "causes": [{"name": c.name, "text": c.text, "explained": round(c.explained, 4)} for c in verdict.causes],
        "metrics": {
            m.name: {
                "heard": m.heard,
                "uncertainty": m.uncertainty,
                "predicted": m.predicted,
                "limit": m.limit,
                "sense": m.sense,
                "unit": m.unit,
                "verdict": m.verdict,
                "passed": m.passed,
            }
            for m in verdict.metrics
        },
    }


def keep(folder: Path, found: Mapping[str, Any], *, again: bool = False) -> list[Path]:
    """Append a record to the folder's JSON Lines and CSV, and write its JUnit page.

    The JSON Lines are the record; CSV and JUnit follow them. A line that a killed program or a full disk left half
    written is set aside before the next one, and rows that the CSV misses since then are added to it first. Units of
    other kinds have other metrics: the CSV gets their columns at its end, empty for units that have no such metric.

    Parameters
    ----------
    again
        Whether a unit that has passed may pass again. Without, a unit of which a pass was recorded since
        :func:`check_new` is recorded as an error, see :func:`doubled`; the JUnit page stays that of the pass.

    Raises
    ------
    BadInput
        The folder cannot be written, or its CSV is no table of records; the message names the files of the record. Or
        the unit passed elsewhere meanwhile.
    """
    lines, table, page = folder / JSONL, folder / CSV, folder / f"{found['unit']}-{JUNIT}"
    with alone_in(folder, APPEND_S):
        judged = found["verdict"] == "pass" and not again
        twice = doubled(found["unit"], passed(earlier(folder, found["unit"]))) if judged else ""
        if twice:
            found = {**found, "verdict": "error", "reasons": [twice]}
        figures = _figures(table)
        append(lines, json.dumps(found))
        try:
            _follow(table, lines, figures, found)
            if not twice:
                write(page, junit(found))
        except BadInput as fault:
            raise BadInput(
                f"{fault}. The record is in {lines.name}; {table.name} and {page.name} do not agree with it: "
                f"{table.name} is completed by the next verification, {page.name} by verifying again"
            ) from fault
    if twice:
        raise BadInput(f"{twice}; set both aside. It is recorded as an error in {lines}")
    return [lines, table, page]


def check_folder(folder: Path) -> None:
    """Refuse a folder that records cannot be written to, before a unit plays; it is made if it is missing.

    Raises
    ------
    BadInput
        The true cause.
    """
    with alone_in(folder, APPEND_S):
        _figures(folder / CSV)


def _figures(table: Path) -> list[str]:
    """Metrics in the columns of a CSV; none without one."""
    try:
        with table.open(encoding="utf-8", newline="") as file:
            there = next(csv.reader(file), list(COLUMNS))
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError, csv.Error) as fault:
        raise BadInput(f"{table}: cannot be read ({fault}); move it away and verify again") from fault
    if there[: len(COLUMNS)] != list(COLUMNS):
        raise BadInput(
            f"{table}: is no table of records (it begins with {', '.join(there)[:40]!r}); move it away and verify again"
        )
    return there[len(COLUMNS) :]


def _follow(table: Path, lines: Path, figures: list[str], found: Mapping[str, Any]) -> None:
    """Add a record's row to the CSV, whose columns have these metrics; if rows or columns are missing, rewrite the
    table from the JSON Lines."""
    kept = lines.read_bytes().count(b"\n")
    there = table.read_bytes().count(b"\n") if table.is_file() else 0
    if there == kept and kept > 1 and set(found["metrics"]) <= set(figures):
        append(table, _row(_cells(found, figures)))
        return
    records = [found] if kept == 1 else _records(lines)
    every = dict.fromkeys(figures)
    for one in records:
        every |= dict.fromkeys(one["metrics"] if isinstance(one.get("metrics"), dict) else ())
    write(table, _row([*COLUMNS, *every]) + "".join(_stored_row(r, list(every)) for r in records))


def _stored_row(found: Mapping[str, Any], figures: list[str]) -> str:
    """Row of a record as it was read; empty for one that was edited."""
    with suppress(BadInput), as_stored(JSONL, ""):
        return _row(_cells(found, figures))
    return ""


def _cells(found: Mapping[str, Any], figures: list[str]) -> list[Any]:
    metrics = found["metrics"]
    return [_cell(found, c) for c in COLUMNS] + [metrics[m]["heard"] if m in metrics else "" for m in figures]


def _records(lines: Path, unit: str = "") -> list[dict[str, Any]]:
    """All records of JSON Lines that can be read, oldest first, or those of a unit; none where there is no file.

    Only lines that hold the serial number are parsed: 100,000 units are 200 MB of text.
    """
    try:
        text = lines.read_text(encoding="utf-8", errors="replace") if lines.is_file() else ""
    except OSError as fault:
        raise BadInput(f"{lines}: cannot be read: {fault.strerror}; correct that, or choose another folder") from fault
    found, named = [], json.dumps(unit) if unit else ""
    for line in text.splitlines():
        try:
            row = json_value(line) if named in line else None
        except ValueError:
            continue
        if isinstance(row, dict) and (not unit or row.get("unit") == unit):
            found.append(row)
    return found


def of_line(folder: Path, unit: str = "") -> list[dict[str, Any]]:
    """The production line's records of units, or of one, oldest first; a line that is no record is passed over."""
    return [row for row in _records(folder / LINE, unit) if {"unit", "verdict"} <= row.keys()]


def _row(cells: list[Any]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow(cells)
    return out.getvalue()


def _cell(found: Mapping[str, Any], column: str) -> str:
    if column == "cause":
        text = str(found["causes"][0]["text"]) if found["causes"] else ""
    else:
        value = found[column]
        text = "; ".join(value) if isinstance(value, list) else str(value)
    return cell(" ".join(text.split()))


def junit(found: Mapping[str, Any]) -> str:
    """A JUnit page: one test case a figure, as build servers and production databases read it."""
    from xml.sax.saxutils import quoteattr  # loads the HTTP client: 10 ms

    failed = sum(not m["passed"] for m in found["metrics"].values())
    cases = []
    for name, m in found["metrics"].items():
        unit = m["unit"]
        heard = f"{m['heard']:.2f} {unit}".rstrip() + f", {m['sense']} {m['limit']:g} {unit}".rstrip()
        inner = "" if m["passed"] else f"<failure message={quoteattr(heard)}/>"
        cases.append(f"  <testcase classname={quoteattr('sweetspot')} name={quoteattr(name)}>{inner}</testcase>")
    suite = (
        f"<testsuite name={quoteattr(str(found['unit']))} tests={quoteattr(str(len(cases)))} "
        f"failures={quoteattr(str(failed))} timestamp={quoteattr(str(found['verified_utc']))}>"
    )
    return "\n".join(['<?xml version="1.0" encoding="UTF-8"?>', suite, *cases, "</testsuite>", ""])


def earlier(folder: Path, unit: str) -> list[dict[str, Any]]:
    """Records of a unit that are there already, oldest first; a broken last line is passed over."""
    return _records(folder / JSONL, unit)


def check_serial(text: str, pattern: str | None, unit: str, run: Path) -> None:
    """Refuse a serial number, typed or scanned, that does not fit the pattern or is not the run's.

    Raises
    ------
    BadInput
        Shows both.
    """
    serial = names.check_serial(text.strip(), "--serial")
    try:
        fits = re.fullmatch(pattern, serial) if pattern else serial
    except re.error as fault:
        raise BadInput(f"--serial-pattern: {pattern!r} is no regular expression: {fault}") from fault
    if not fits:
        raise BadInput(f"serial number {serial!r} does not fit the pattern {pattern!r}: scan it again")
    if serial != unit:
        raise BadInput(f"serial number {serial!r} was scanned, but {run} is a run of unit {unit!r}")


def check_new(folder: Path, unit: str) -> None:
    """Refuse a unit that has a passing record.

    Raises
    ------
    BadInput
        Says when it passed.
    """
    if at := passed(earlier(folder, unit)):
        raise BadInput(f"unit {unit!r} passed on {at} already (see {folder / JSONL}); use --again to verify it again")


def passed(rows: Iterable[Mapping[str, Any]]) -> str:
    """When the last of a unit's records that is a pass was made; empty where none is."""
    return next((str(r.get("verified_utc", r.get("utc"))) for r in reversed([*rows]) if r.get("verdict") == "pass"), "")


def doubled(unit: str, at: str) -> str:
    """Reason why a unit that passed elsewhere since its scan does not pass a second time; empty without ``at``."""
    text = f"unit {unit} passed on {at} too, on another line, while this one was measured"
    return f"{text}: two units have this number" if at else ""


def operator(verdict: Verification, unit: str, *, golden: bool = False) -> str:
    """One big verdict and one next action, for who stands at the line; of the golden unit :mod:`golden` says it."""
    word = {"pass": "PASS", "grey": "AGAIN", "fail": "FAIL"}[verdict.verdict]
    lines = [f"{BIG[word]}", f"unit {unit}"]
    if golden:
        return "\n".join(lines)
    if verdict.passed:
        lines.append("Next: take the unit off, put the next one on.")
    elif verdict.verdict == "grey":
        lines += [verdict.reasons[0], "Next: leave the unit on and verify it again."]
    elif verdict.causes and verdict.causes[0].explained > 0.5:
        lines += [f"Likely: {verdict.causes[0].text}.", f"Next: {ACTIONS.get(verdict.causes[0].name, ACTIONS[''])}"]
    else:
        lines += [verdict.reasons[0], f"Next: {ACTIONS['']}"]
    return "\n".join(lines)


ACTIONS = {
    "": "put the unit aside for repair, with its report.",
    "head moved": "put the dummy head back on its mark, check the room's temperature and verify again.",
    "bypassed": "switch the processor on and verify again.",
    "other filter set": "load this unit's filters and verify again.",
    "left-right swap": "swap the two program cables and verify again.",
    "ears swapped": "swap the two ear cables and verify again.",
    "ears swapped, driver": "swap the two ear cables and verify again; the driver is judged then.",
    "ear cable": "check to which microphone and input that ear's cable goes, and verify again.",
    "drivers swapped": "check the order of the amplifier's cables and verify again.",
    "sampling rate": "set the processor to the filters' sampling rate and verify again.",
    "level": "check the volume of the amplifier and verify again.",
    "ear polarity": "check that ear's cable and its preamplifier's phase switch, and verify again.",
    "polarity of all": "check the processor's polarity and the amplifier's cables, and verify again.",
    "program polarity": "check that program's cable and verify again.",
    "program level": "check that program's cable and the gain of its input, and verify again.",
    "program silent": "check that program's cable and verify again.",
    "ear gain": "calibrate the dummy head's microphones and verify again.",
    "ear response": "check and calibrate that ear's microphone, and verify again.",
    "response": "check equalisers and tone controls of processor and amplifier, and verify again.",
    "two driver levels": "check the gains of those two drivers' amplifiers and verify again.",
    "driver levels": "check the gains of the amplifiers of the drivers named, and verify again.",
    "centre missing": "load this unit's centre filters, switch the upmix on and verify again.",
    "centre level": "check the upmix's amount and the centre's gain, and verify again.",
    "upmix off": "switch the processor's upmix on and verify again.",
    "guard off": "switch the guard on, with this unit's ceiling, before anything else plays; then verify again.",
    "rub and buzz": "look for loose parts, cables that touch a cone and rubbing voice coils; then verify again.",
    "treble": "check the processor's sampling rate, resamplers and tone controls, then the tweeters, and verify again.",
    "clipping": "turn the processor or its amplifier down and verify again.",
    "design": "tell the engineer: this design cannot meet the limits.",
    "room changed": "remove objects near the rig that were not there before, and verify again.",
}
"""Actions by cause; the empty name is for all others."""

BIG = {
    "PASS": "\n".join([
        "#####    ###    #####   #####",
        "#    #  #   #  #       #     ",
        "#####   #####   ####    #### ",
        "#       #   #       #       #",
        "#       #   #  #####   ##### ",
    ]),
    "AGAIN": "\n".join([
        " ###    ####   ###   ###  #   #",
        "#   #  #      #   #   #   ##  #",
        "#####  #  ##  #####   #   # # #",
        "#   #  #   #  #   #   #   #  ##",
        "#   #   ####  #   #  ###  #   #",
    ]),
    "FAIL": "\n".join([
        "######   ###   ###  #    ",
        "#       #   #   #   #    ",
        "####    #####   #   #    ",
        "#       #   #   #   #    ",
        "#       #   #  ###  #####",
    ]),
}  # fmt: skip
