"""The rules of the house, held by a walk over every module's syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = {
    "rigs": {"rigs"},
    "measure": {"measure", "rigs"},
    "processor": {"processor", "rigs"},
    "calibrate": {"calibrate", "measure", "processor", "rigs"},
}
DOORS = {
    "sounddevice": ("rigs/portaudio.py",),
    "serial": ("rigs/turntable/",),
    "socket": ("rigs/turntable/", "rigs/lab/et250.py"),
    "jack": ("rigs/lab/soundcard.py", "rigs/patchbay.py"),
    "h5py": ("measure/session.py", "processor/store.py"),
    "sofar": ("measure/sofa.py", "rigs/lab/head.py"),
    "soundfile": ("processor/files.py", "measure/export.py"),
    "numba": ("processor/native.py", "processor/nativestate.py"),
    "llvmlite": (
        "processor/kernel.py",
        "processor/centrekernel.py",
        "processor/vectorcode.py",
        "processor/machinecode.py",
        "processor/nativestate.py",
    ),
    "matplotlib": (
        "/plots.py",
        "calibrate/report.py",
        "rigs/lab/show.py",
        "measure/show.py",
        "calibrate/fleet/page.py",
    ),
    "sqlite3": ("calibrate/fleet/ledger.py",),
    "distributed": ("calibrate/fleet/run.py",),
    "typer": ("/cli.py", "/progress.py", "sweetspot.py"),
    "rich": ("/cli.py", "/progress.py", "sweetspot.py"),
}
WORLDLY = (
    "run.py",
    "stream.py",
    "player.py",
    "console.py",
    "cli.py",
    "progress.py",
    "files.py",
    "portaudio.py",
    "soundcard.py",
    "folder.py",
    "records.py",
)
"""Modules that may open files, print and look at the clock, besides the doors to libraries."""


def modules() -> list[Path]:
    return [*sorted(p for room in ROOMS for p in (ROOT / room).rglob("*.py")), ROOT / "sweetspot.py"]


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (a.name.split(".")[0] for a in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, "imports are absolute"
            yield node.module.split(".")[0]


def called(module: ast.Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(module):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node.lineno


@pytest.mark.parametrize("path", modules(), ids=name)
def test_rooms_see_only_what_lies_beneath(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    seen = {i for i in imported(tree(path)) if i in ROOMS}
    assert seen <= ROOMS.get(room, set(ROOMS)), f"{name(path)} imports {seen}"


@pytest.mark.parametrize("path", modules(), ids=name)
def test_each_outside_library_has_one_door(path: Path) -> None:
    for library in set(imported(tree(path))) & set(DOORS):
        assert any(door in f"/{name(path)}" for door in DOORS[library]), f"{name(path)} opens a second door: {library}"


@pytest.mark.parametrize("path", modules(), ids=name)
def test_no_clock_print_or_chance_outside_the_doors(path: Path) -> None:
    if path.name in WORLDLY or name(path) in {d for doors in DOORS.values() for d in doors}:
        return
    for function, line in called(tree(path)):
        assert function not in {"open", "print", "input"}, f"{name(path)}:{line} calls {function}"
        assert function not in {"time.time", "time.monotonic", "time.sleep", "datetime.today"}, f"{name(path)}:{line}"
        if function == "datetime.now":
            assert name(path) == "rigs/load.py", f"{name(path)}:{line} looks at the clock"
        assert not function.startswith("np.random.") or function == "np.random.default_rng", f"{name(path)}:{line}"
        if function.endswith("default_rng"):
            assert "default_rng()" not in path.read_text(encoding="utf-8"), f"{name(path)}:{line} draws without a seed"


@pytest.mark.parametrize("path", modules(), ids=name)
def test_every_file_says_what_it_is_for(path: Path) -> None:
    text = ast.get_docstring(tree(path))
    assert text, f"{name(path)} has no opening sentence"
    assert text.split("\n")[0].rstrip().endswith((".", ":", ";", ",")) or len(text.split("\n")[0]) > 40


@pytest.mark.parametrize("path", [p for p in modules() if p.name == "plots.py"], ids=name)
def test_plots_return_nothing_and_never_save(path: Path) -> None:
    for node in tree(path).body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            assert node.args.args[0].arg == "ax", f"{name(path)}: {node.name} does not take ax first"
            assert isinstance(node.returns, ast.Constant), f"{name(path)}: {node.name} returns something"
            assert node.returns.value is None
    assert not any(f.endswith((".savefig", ".show")) for f, _ in called(tree(path)))


def test_only_one_place_chooses_between_real_and_virtual() -> None:
    asking = [
        name(p)
        for p in modules()
        for node in ast.walk(tree(p))
        if isinstance(node, ast.Match) and ast.unparse(node.subject).endswith((".driver", "interface.driver"))
    ]
    assert set(asking) == {"rigs/load.py"}


def test_decibels_have_one_home() -> None:
    homes = {
        name(p)
        for p in modules()
        for node in ast.walk(tree(p))
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult) and "20.0 * np.log10" in ast.unparse(node)
    }
    assert homes == {"rigs/units.py"}


def test_the_walk_sees_every_room() -> None:
    assert {name(p).split("/")[0] for p in modules()} == {*ROOMS, "sweetspot.py"}
