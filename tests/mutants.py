"""Mutation tests of what protects hardware and what decides: each change of a line must make some test fail.

    python tests/mutants.py [GROUP ...] [--children 2] [--tenth 3]

``--tenth K`` tries the mutants whose number ends with the digit K: a tenth of them, spread over all functions. Works
on a copy under ``build/mutants``, with mutmut; compiled rules run there as they are written, in Python. Exit code 1
when fewer than 95 % of a group's mutants are killed. A mutant that is equivalent to the original (another
message, an equal bound) counts against the figure until it is listed, with its reason, in :data:`EQUAL`.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("rigs", "measure", "processor", "calibrate")
WANTED = 0.95


@dataclass(frozen=True, slots=True)
class Group:
    """Files to change, the tests that must notice, and whether loops run compiled or, to be changed, in Python."""

    files: tuple[str, ...]
    tests: tuple[str, ...]
    compiled: bool = True


GROUPS = {
    "guard": Group(
        ("processor/dynamics/guard.py", "processor/crossfade.py"),
        ("processor/test_rules.py", "processor/test_crossfade.py"),
        compiled=False,
    ),
    "spl": Group(("processor/dynamics/spl_limiter.py",), ("processor/test_spl_rules.py",), compiled=False),
    "captures": Group(
        (
            "measure/judge/quality.py",
            "measure/judge/disturbance.py",
            "measure/judge/burst.py",
            "measure/judge/clocks.py",
            "measure/judge/kernel.py",
        ),
        ("measure/test_judging.py",),
    ),
    "callback": Group(("processor/live/callback.py",), ("processor/test_callback.py",), compiled=False),
    "closure": Group(("measure/judge/drift.py",), ("measure/test_drift.py",)),
    "verdicts": Group(
        ("calibrate/verify/metric.py", "calibrate/verify/verification.py"),
        ("calibrate/test_verdicts.py",),
    ),
    "limits": Group(
        ("calibrate/design/limits.py", "calibrate/verify/default_limits.py", "calibrate/verify/metric_kinds.py"),
        ("calibrate/test_verdicts.py",),
    ),
    "diagnosis": Group(("calibrate/verify/diagnose/",), ("calibrate/test_diagnosis.py", "calibrate/test_residual.py")),
    "gate": Group(("calibrate/plant/gate.py",), ("calibrate/test_gate.py",)),
    "directivity": Group(("measure/share/directivity.py",), ("measure/test_directivity.py",)),
}


def _same(function: str, numbers: tuple[int, ...], why: str) -> dict[str, str]:
    return {f"sweetspot.{function}__mutmut_{n}": why for n in numbers}


EQUAL: dict[str, str] = {
    **_same("processor.dynamics.guard.x_judge_input", (11,), "counts twice what is only compared with nothing"),
    **_same("processor.dynamics.guard.x_judge", (21,), "sums in other parts: the total is the same"),
    **_same("processor.dynamics.guard.x_judge", (71,), "differs where a mean meets its limit to the last bit"),
    **_same("processor.dynamics.guard.x_limit", (16, 33), "clips what no band changed: nothing passes the ceiling"),
    **_same(
        "processor.dynamics.guard.x_limit_band",
        (27, 38, 41, 42, 59, 63, 69, 71, 75, 79, 80, 82),
        "the long way for the short: output and memory are the same",
    ),
    **_same("processor.dynamics.guard.x_limit_band", (65,), "a sample fewer on the long way: its reductions are 0"),
    **_same("processor.dynamics.guard.x_at_rest", (18, 36, 47), "counts twice what is only compared with nothing"),
    **_same("processor.dynamics.guard.xǁGuardǁ__init__", (17,), "above any ceiling either way"),
    **_same("processor.crossfade.xǁWalkedǁ__init__", (7,), "more silence ahead of the past"),
    **_same("processor.dynamics.guard.x_limit_band", (39, 60), "counts twice what is only compared with nothing"),
    **_same(
        "processor.dynamics.guard.x_limit_band",
        (141,),
        "writes the long way's samples and then the short way's over them",
    ),
    **_same("processor.dynamics.guard.x_delay", (29, 30), "parts of the whole band, which nobody reads"),
    **_same("processor.dynamics.guard.x_limited", (20, 21), "counts that nobody reads"),
    **_same("processor.live.callback.x__callback", (114,), "differs at one value of a double"),
    **_same("processor.live.callback.x__far", (57,), "a fraction that the table of integers cuts off"),
    **_same("processor.live.callback.x__filtered", (107,), "any set below 0 is none"),
    **_same("processor.live.callback.x__faded", (17,), "multiplies by exactly 1"),
    **_same("processor.live.callback.x__callback", (107, 116), "read only where a block took too long"),
    **_same("processor.live.callback.x__half", (24,), "a view of more numbers, of which as many are read"),
    **_same("processor.dynamics.guard.x_delay", (42,), "pieces of no length"),
    **_same("processor.dynamics.guard.x_delay", (112,), "a view of more numbers, of which as many are read"),
    **_same("processor.dynamics.guard.x_need", (36,), "differs where nothing is asked for: the excess is 0"),
    **_same("processor.dynamics.guard.x_need", (37, 38), "differs where the part is 0: then nothing is asked for"),
    **_same("processor.dynamics.guard.x_reduction", (22, 25), "differs at one value of a double"),
    **_same("processor.dynamics.guard.x_reduction", (31,), "a sample fewer on the long way: its reductions are 0"),
    **_same("processor.dynamics.guard.x_reduction", (66,), "the minimum of a number and itself"),
    **_same("processor.dynamics.guard.xǁGuardǁprocess", (2, 4), "a copy in the order of C is the default"),
    **_same("processor.crossfade.xǁWalkedǁ__init__", (4,), "the same past in doubles"),
    **_same("processor.dynamics.guard.xǁGuardǁreset", (8,), "a row of means that nobody reads"),
    **_same("processor.dynamics.guard.x_clip", (7,), "rounds down to the same reach"),
    **_same("processor.dynamics.guard.x_clip", (40,), "differs at one value of a double"),
    **_same("processor.crossfade.xǁFaderǁ__init__", (6,), "done and length are compared with each other alone"),
    **_same("processor.crossfade.xǁFaderǁprocess", (6, 8), "multiplies by exactly 1"),
    **_same(
        "processor.dynamics.guard.x_limit_band",
        (142, 144),
        "writes samples twice, the second time those of its own way",
    ),
    **_same("processor.live.callback.x__far", (42,), "another place in the ring, the same for all blocks"),
    **_same("processor.live.callback.x__far", (53,), "a fraction that the table of integers cuts off"),
    **_same("processor.live.callback.x__from_ring", (59,), "a full block lacks nothing"),
    **_same("processor.live.callback.x__walked", (38,), "any place below 0 is none"),
    **_same("processor.live.callback.x__filter", (38,), "a ratio is 0 or at least 2"),
    **_same("processor.live.callback.x__timed", (13,), "differs at one value of a double"),
    **_same(
        "processor.live.callback.x_callback",
        tuple(range(1, 11)),
        "what the compiler gets; test_player.py runs compiled code",
    ),
    **_same("measure.judge.quality.x_short", (1,), "the last of two axes, counted from the front"),
    **_same("measure.judge.quality.x_padded", (1,), "the last of two axes, counted from the front"),
    **_same("calibrate.verify.metric.xǁMetricǁ_near", (3,), "differs at one value of a double"),
    **_same("calibrate.verify.verification.x_sources_of", (6,), "doubles are the default"),
    **_same("calibrate.verify.verification.x_sources_of", (80,), "outputs are in single precision either way"),
    **_same("calibrate.verify.default_limits.x__relaxed", (4,), "no limit has either name"),
    **_same("measure.judge.drift.x_closure", (6, 21, 31, 43), "the last of two axes, counted from the front"),
    **_same("measure.judge.drift.x_closure", (20,), "the last axis is the default"),
    **_same("measure.judge.drift.x_changed", (4,), "the last of two axes, counted from the front"),
    **_same("measure.judge.drift.x_changed", (24, 28, 29), "all that call it give as many of each"),
    **_same("measure.judge.drift.x_changed", (15, 18, 65, 97, 100), "differs at one value of a double"),
    **_same("measure.judge.drift.x_changed", (81, 83), "an even length is the default"),
    **_same(
        "calibrate.plant.gate.x__energy", (16, 18, 20, 26), "another fast length, no shorter than what is looked at"
    ),
    **_same("calibrate.plant.gate.x__energy", (22,), "a sample more than is looked at"),
    **_same("calibrate.plant.gate.x__energy", (49,), "differs at 0 Hz by less than 1e-10 of the power"),
    **_same("calibrate.plant.gate.x__energy", (63,), "rates are 8 kHz or more: never less than two samples"),
    **_same("calibrate.plant.gate.x__energy", (70, 73, 74), "as many of each by construction"),
    **_same("calibrate.plant.gate.x__energy", (79, 90), "the last axis is the default"),
    **_same("calibrate.plant.gate.x__energy", (100, 102), "squares in an array of their own"),
    **_same("calibrate.plant.gate.x__rise", (5, 6), "differs at one value of a double"),
    **_same("calibrate.plant.gate.x__rise", (8,), "no value is False in an array of truths"),
    **_same("calibrate.plant.gate.x_resolved", (4,), "differs at one value of a double"),
    **_same("calibrate.plant.gate.x_lengths", (27, 29), "a ratio to a whole power"),
    **_same("calibrate.plant.gate.x_shares", (21,), "below 1 Hz the longest window plays either way"),
    **_same("calibrate.plant.gate.x_shares", (34, 44), "no share is above one"),
    **_same("calibrate.plant.gate.x_shares", (45,), "they add up to one already"),
    **_same("measure.share.directivity.x_index_db", (44,), "other letters for the same sum"),
    **_same("measure.share.directivity.x__first_fall", (2,), "differs at one value of a double"),
    **_same("measure.share.directivity.x_orbit", (24,), "the mean of a value and no neighbour"),
    **_same("measure.share.directivity.x_beam_width_deg", (18,), "the two sides in the other order: the same sum"),
    **_same(
        "measure.share.directivity.x_beam_width_deg",
        (24,),
        "one direction more, behind the device",
    ),
    **_same("measure.share.directivity.x_cta2034", (48, 54), "no direction lies between whole tens of degrees"),
    **_same("measure.share.directivity.x_weights", (10,), "numpy's range ends before 90 either way"),
    **_same("measure.share.directivity.x__ring", (16,), "half a turn to the other side is the same turn"),
    **_same("measure.share.directivity.x__ring", (21,), "differs at one value of a double"),
    **_same("processor.live.callback.x__timed", (15,), "differs at one value of a double"),
    **_same("measure.judge.quality.x_short", (10,), "the last of two axes, counted from the front"),
    **_same("measure.judge.clocks.x__read", (60, 62), "two samples at either end are both zeros of the padding"),
    **_same("measure.judge.clocks.x__read", (72,), "other letters for the same sum"),
    **_same("measure.judge.quality.x_loopback", (12, 42), "differs at one value of a double"),
    **_same("measure.judge.disturbance.x_hum", (45,), "bins behind the last line's neighbours"),
    **_same("measure.judge.disturbance.x_hum", (63, 65), "a mean in single precision: differs by rounding"),
    **_same("measure.judge.quality.x__worst_residual", (25,), "any negative length is the rest"),
    **_same("measure.judge.burst.x__allowed", (73, 74, 128), "the long way for the short: no less is allowed"),
    **_same("measure.judge.burst.x__powers", (100,), "any negative length is the rest"),
    **_same("measure.judge.burst.x__running_mean", (3, 58), "the last of two axes, counted from the front"),
    **_same("measure.judge.clocks.x_stretched", (8,), "zeros ahead and behind make doubles of it either way"),
    **_same("measure.judge.clocks.x_at_one_rate", (38, 40), "zeros ahead and behind make doubles of it either way"),
    **_same("measure.judge.disturbance.x_hum", (100,), "no level is nothing: far below the limit"),
    **_same("measure.judge.burst.x__references", (3, 5), "zeros of another type"),
    **_same("measure.judge.burst.x__each_rolled", (15,), "the last axis is the default"),
    **_same("measure.judge.burst.x__noise", (5,), "the last axis is the default"),
    **_same("measure.judge.clocks.x__read", (5,), "fewer zeros at the end, of which one is enough"),
    **_same("measure.judge.clocks.x__read", (23,), "pieces that overlap: the same values"),
    **_same("measure.judge.burst.x__decay", (43,), "lags within the gap, which nobody reads"),
    **_same("measure.judge.burst.x__decay", (63,), "the last axis is the default"),
    **_same("measure.judge.burst.x_burst", (23,), "differs where both windows have the same ratio to the last bit"),
    **_same("measure.judge.burst.x__powers", (54,), "the same values in another array"),
    **_same("measure.judge.clocks.x_of_loopback", (84,), "more bins than that are fitted"),
    **_same("measure.judge.kernel.xǁ_Meansǁbetween", (33,), "any negative length is the rest"),
    **_same("measure.judge.quality.x_repeats", (23,), "differs at one value of a double"),
    **_same("measure.judge.kernel.xǁ_Meansǁbetween", (5, 19), "a row more, which is cut off"),
    **_same("measure.judge.burst.x__powers", (38, 41, 42), "as many of each by construction"),
    **_same("measure.judge.disturbance.x__equal_run", (9, 19), "more goes the long way, which decides"),
    **_same("measure.judge.disturbance.x_hum", (99,), "differs at one value of a double"),
    **_same("measure.judge.quality.x_loopback", (9,), "a mean in single precision: differs by rounding"),
    **_same("measure.judge.clocks.x_at_one_rate", (29,), "more samples behind, which nobody reads"),
    **_same("measure.judge.burst.x__powers", (58, 69, 84), "the last of two axes, counted from the front"),
    **_same("measure.judge.burst.x_burst", (18,), "differs at one value of a double"),
    **_same("measure.judge.burst.x__allowed", (129,), "differs at one value of a double"),
    **_same("measure.judge.burst.x__references", (38,), "differs at one value of a double"),
    **_same("measure.judge.burst.x__median_around", (28,), "any negative length is the rest"),
    **_same("measure.judge.burst.x__powers", (72, 74), "ones in double precision: the same sums but for rounding"),
    **_same("calibrate.verify.diagnose.driver_faults.x_paired", (123,), "differs at one value of a double"),
    **_same("calibrate.verify.diagnose.driver_faults.x__sixths", (13,), "numpy's range begins at 0 either way"),
    **_same("calibrate.verify.diagnose.residual.xǁResidualǁlag", (3,), "a finer grid ahead of steps to the same top"),
    **_same("calibrate.verify.diagnose.residual.x__apart", (3,), "a longer transform, without aliasing either way"),
    **_same("calibrate.verify.diagnose.residual.x__apart", (33,), "the last axis is the default"),
    **_same("calibrate.verify.diagnose.causes.x__centre", (45, 92), "differs at one value of a double"),
    **_same("calibrate.verify.diagnose.causes.x__bypassed", (25,), "as many of each by construction"),
    **_same("calibrate.verify.diagnose.causes.x__unfiltered", (65,), "numpy's default"),
    **_same("calibrate.verify.diagnose.causes.x_ranked", (5,), "differs at one value of a double"),
    **_same("calibrate.verify.diagnose.head_faults.x_ear_gain", (15,), "differs at one value of a double"),
    **_same("calibrate.verify.diagnose.driver_faults.x_untimed", (55,), "a level is that of the magnitude"),
    **_same("calibrate.verify.diagnose.driver_faults.x_untimed", (37, 75), "differs at one value of a double"),
    **_same("calibrate.verify.diagnose.driver_faults.x_timed", (37,), "a gain of nothing is a dead driver's"),
    **_same("calibrate.verify.diagnose.driver_faults.x__narrowest", (17,), "differs at one value of a double"),
    **_same("calibrate.verify.diagnose.residual.x_of", (17,), "responses are complex doubles"),
    **_same("calibrate.verify.diagnose.residual.x_of", (37,), "other letters for the same sum"),
    **_same("calibrate.verify.diagnose.driver_faults.x__delay", (55,), "more delays, none of them better"),
    **_same("calibrate.verify.diagnose.driver_faults.x_band_change", (65,), "differs at one value of a double"),
    **_same("calibrate.verify.diagnose.driver_faults.x__sixths", (15,), "an edge at the first bin begins no band"),
    **_same(
        "calibrate.verify.diagnose.residual.xǁResidualǁlag", (65,), "near the top of a grid that fine it curves down"
    ),
    **_same("calibrate.verify.diagnose.residual.x__apart", (25,), "the last axis is the default"),
    **_same("calibrate.verify.diagnose.causes.x__clipping", (12,), "the same levels in the other order"),
    **_same("calibrate.verify.diagnose.driver_faults.x_timed", (62,), "differs at one value of a double"),
    **_same("calibrate.verify.diagnose.driver_faults.x_untimed", (22,), "other letters for the same sum"),
    **_same("calibrate.verify.diagnose.driver_faults.x_untimed", (82,), "a delay of nothing is not named"),
    **_same("calibrate.verify.diagnose.driver_faults.xǁ_Pairǁ_top", (12,), "the same delays in the other order"),
    **_same("calibrate.verify.diagnose.driver_faults.x__together", (12,), "the mean leaves out such bins"),
    **_same("calibrate.verify.diagnose.driver_faults.x_paired", (112,), "differs at one value of a double"),
    **_same("calibrate.verify.diagnose.residual.x__apart", (42,), "the last axis is the default"),
    **_same("calibrate.verify.diagnose.causes.x__bypassed", (11,), "other letters for the same sum"),
    **_same("calibrate.verify.diagnose.causes.x__bypassed", (41,), "the same delays in the other order"),
    **_same("calibrate.verify.diagnose.causes.x__unfiltered", (51,), "any negative length is the rest"),
    **_same("calibrate.verify.diagnose.causes.x__centre", (91,), "differs at one value of a double"),
    **_same("calibrate.verify.diagnose.causes.x__clipping", (21,), "differs at one value of a double"),
    **_same("calibrate.verify.diagnose.head_faults.x__place", (21,), "differs at one value of a double"),
    **_same("calibrate.verify.diagnose.driver_faults.x_timed", (31,), "differs at one value of a double"),
    **_same("calibrate.verify.diagnose.driver_faults.x__together", (11,), "the mean leaves out such bins"),
    **_same("calibrate.verify.diagnose.driver_faults.x_banded", (11,), "other letters for the same sum"),
    **_same("calibrate.verify.diagnose.residual.x__apart", (41,), "an even length is the default"),
}
"""Equivalent mutants, with the reason."""

SETTINGS = """
[tool.mutmut]
source_paths = ["src"]
only_mutate = {only}
also_copy = ["tests"]
pytest_add_cli_args_test_selection = {tests}
pytest_add_cli_args = ["-p", "no:cacheprovider", "-q"]
use_git_change_detection = false
[tool.pytest.ini_options]
addopts = "--import-mode=importlib"
pythonpath = ["src", "."]
markers = ["server: needs an audio server", "slow: takes long"]
"""


def undecorated(text: str, compiled: bool) -> str:
    """A module whose properties are made after their functions, since mutmut leaves decorated functions alone.

    Loops that run in Python lose the decorator that compiles them.
    """
    lines = text.splitlines()
    for node in sorted(ast.walk(ast.parse(text)), key=lambda n: -getattr(n, "lineno", 0)):
        if not isinstance(node, ast.FunctionDef) or len(node.decorator_list) != 1:
            continue
        decorator = ast.unparse(node.decorator_list[0])
        if decorator == "property":
            lines.insert(node.end_lineno or 0, f"{' ' * node.col_offset}{node.name} = property({node.name})")
        if decorator == "property" or (decorator == "kept" and not compiled):
            del lines[node.decorator_list[0].lineno - 1]
    return "\n".join(lines) + "\n"


def prepared(name: str, group: Group) -> Path:
    """A fresh copy of the packages under their one name, with the tests beside them."""
    here = ROOT / "build" / "mutants" / name
    shutil.rmtree(here, ignore_errors=True)
    for room in ROOMS:
        shutil.copytree(ROOT / room, here / "src" / "sweetspot" / room, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (ROOT / "sweetspot").iterdir():
        if path.is_file():
            shutil.copy(path, here / "src" / "sweetspot" / path.name)
    shutil.copytree(ROOT / "tests", here / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    only = [f"src/sweetspot/{f}*" if f.endswith("/") else f"src/sweetspot/{f}" for f in group.files]
    tests = [f"tests/{t}" for t in group.tests]
    for path in {p for pattern in only for p in here.glob(pattern.replace("/*", "/*.py"))}:
        path.write_text(undecorated(path.read_text(encoding="utf-8"), group.compiled), encoding="utf-8")
    (here / "pyproject.toml").write_text(SETTINGS.format(only=json.dumps(only), tests=json.dumps(tests)))
    return here


def survivors(here: Path, ending: str) -> tuple[int, list[str]]:
    """How many mutants were tried, and the names of those that no test noticed."""
    command = [sys.executable, "-m", "mutmut", "results", "--all", "true"]
    text = subprocess.run(command, cwd=here, capture_output=True, text=True, check=True).stdout
    each = [line.strip().rsplit(": ", 1) for line in text.splitlines() if "__mutmut_" in line]
    each = [(name, end) for name, end in each if name.endswith(ending)]
    return len(each), [name for name, end in each if end not in ("killed", "timeout", "segfault")]


def run(name: str, children: int, ending: str = "") -> bool:
    """Change and test one group; prints its figure and what is left."""
    here = prepared(name, GROUPS[name])
    quiet = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    quiet |= {} if GROUPS[name].compiled else {"NUMBA_DISABLE_JIT": "1"}
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", str(children)]
    command += [f"*__mutmut_*{ending}"] if ending else []
    done = subprocess.run(command, cwd=here, env=quiet, check=False)
    if done.returncode:
        sys.exit(f"{name}: mutmut ended with exit code {done.returncode}")
    count, left = survivors(here, ending)
    unlisted = [one for one in left if one not in EQUAL]
    share = 1.0 - len(unlisted) / max(count, 1)
    print(f"{name}: {count} mutants, {len(left)} survive ({len(left) - len(unlisted)} listed): {100 * share:.1f} %")
    for one in unlisted:
        print(f"  {one}   (cd {here.relative_to(ROOT)}; python -m mutmut show {one})")
    return count > 0 and share >= WANTED


def main() -> None:
    """Run the given groups, by default all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=", ".join(GROUPS))
    parser.add_argument("--children", type=int, default=os.cpu_count() or 1, help="processes at a time")
    parser.add_argument("--tenth", type=int, choices=range(10), metavar="K", help="only mutants whose number ends so")
    args = parser.parse_args()
    if unknown := sorted(set(args.groups) - set(GROUPS)):
        parser.error(f"{', '.join(unknown)}: choose from {', '.join(GROUPS)}")
    each = {
        name: run(name, args.children, "" if args.tenth is None else str(args.tenth)) for name in args.groups or GROUPS
    }
    if not all(each.values()):
        sys.exit(f"Under {100 * WANTED:.0f} %: {', '.join(n for n, passed in each.items() if not passed)}")


if __name__ == "__main__":
    main()
