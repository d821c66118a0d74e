"""The rules of the house, held by a walk over every module's syntax tree."""

from __future__ import annotations

import ast
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest

from sweetspot.rigs.faces import names

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
    "socket": ("rigs/turntable/", "rigs/lab/stage/et250_machine.py", "processor/live/poses.py"),
    "jack": ("rigs/hosts/jack_client.py",),
    "h5py": ("rigs/storage/",),
    "deflate": ("rigs/storage/packing.py",),
    "sofar": ("rigs/storage/sofa_writer.py",),
    "soundfile": ("measure/incoming/files.py", "processor/files.py", "measure/share/export.py"),
    "numba": ("processor/compiled/loops.py", "processor/live/callback.py", "processor/live/state.py"),
    "llvmlite": ("processor/compiled/", "processor/live/state.py"),
    "matplotlib": (
        "/plots.py",
        "calibrate/report/page.py",
        "calibrate/report/pictures.py",
        "calibrate/report/device_pictures.py",
        "calibrate/report/beam_page.py",
        "calibrate/report/image_pictures.py",
        "calibrate/report/image_plots.py",
        "calibrate/report/bank_plots.py",
        "rigs/lab/pictures/show.py",
        "measure/share/axes.py",
        "measure/share/figures.py",
        "rigs/quick_start.py",
        "calibrate/fleet/page.py",
    ),
    "http": ("calibrate/line/server.py",),
    "sqlite3": ("calibrate/fleet/ledger.py",),
    "distributed": ("calibrate/fleet/cluster.py",),
    "typer": ("/cli.py", "/progress.py", "sweetspot/roof.py"),
    "rich": ("/cli.py", "/progress.py", "processor/playing.py"),
}
LAB_USERS = ("rigs/lab/", "rigs/load.py", "rigs/cli.py")
"""The lab is a simulation: besides itself, only the choice of parts and the command that runs it may import it."""
LARGEST_FOLDER = 18
WORLDLY = (
    "run.py",
    "patchbay.py",
    "stream.py",
    "player.py",
    "console.py",
    "playing.py",
    "cli.py",
    "command_line.py",
    "progress.py",
    "files.py",
    "portaudio.py",
    "soundcard.py",
    "folder.py",
    "records.py",
    "atomic.py",
    "kept.py",
    "kept_data.py",
    "lock.py",
    "seal.py",
    "wav_clock.py",
)
"""Modules that may open files, print and look at the clock, besides the doors to libraries."""


def modules() -> list[Path]:
    return sorted(p for room in (*ROOMS, "sweetspot") for p in (ROOT / room).rglob("*.py"))


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(module: ast.Module) -> Iterator[tuple[str, str]]:
    """Module and name of every import; the name is empty where a whole module is imported."""
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from ((a.name, "") for a in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, "imports are absolute"
            yield from ((node.module, a.name) for a in node.names)


def imported(module: ast.Module) -> Iterator[str]:
    """Rooms by their own names, other packages by their first."""
    for path, name in imports(module):
        parts = [*path.split("."), name]
        yield parts[1] if parts[0] == "sweetspot" and len(parts) > 1 else parts[0]


def dotted(path: Path) -> str:
    """The module's name in the namespace."""
    inside = path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")
    return inside if inside.split(".")[0] == "sweetspot" else f"sweetspot.{inside}"


@cache
def faces() -> dict[str, set[str]]:
    """Public names of every sub-package: what its ``__init__`` imports."""
    found = {}
    for path in modules():
        if path.name == "__init__.py" and len(path.relative_to(ROOT).parts) > 2:
            found[dotted(path)] = {name for _, name in imports(tree(path)) if name != "lazy"} - {"TYPE_CHECKING"}
    return found


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
def test_nobody_reaches_behind_a_face(path: Path) -> None:
    public, here = faces(), dotted(path)
    for source, what in imports(tree(path)):
        owners = sorted((p for p in public if f"{source}.{what}".startswith(f"{p}.")), key=len)
        behind = owners[-1] if owners else None
        if behind is None or f"{here}.".startswith(f"{behind}."):
            continue
        assert source == behind, f"{name(path)}: {source} is private to {behind}; import from there"
        assert what in public[behind] | {"cli"}, f"{name(path)}: {what} is not in the face of {behind}"


@pytest.mark.parametrize("path", modules(), ids=name)
def test_only_the_lab_and_the_choice_of_parts_import_the_lab(path: Path) -> None:
    if not name(path).startswith(LAB_USERS):
        assert not [i for i in imports(tree(path)) if f"{i[0]}.{i[1]}".startswith("sweetspot.rigs.lab.")], name(path)


@pytest.mark.parametrize("face", faces())
def test_faces_name_only_what_is_there(face: str) -> None:
    package = import_module(face)
    if "lazy(__name__)" in (ROOT / package.__file__).read_text(encoding="utf-8"):
        assert set(names(face)) == faces()[face], "a name in a form that is not found at first use"
    for what in faces()[face]:
        assert getattr(package, what) is not None


def test_no_folder_is_crowded() -> None:
    count = Counter(p.parent for p in modules())
    assert {f.as_posix(): n for f, n in count.items() if n > LARGEST_FOLDER} == {}


def test_every_package_is_installed() -> None:
    """The wheel holds what ``pyproject.toml`` lists, no more and no less."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        listed = tomllib.load(file)["tool"]["setuptools"]["packages"]
    assert sorted(listed) == sorted(dotted(p) for p in modules() if p.name == "__init__.py")


def test_packages_do_not_depend_in_circles() -> None:
    """Modules of a room count by themselves, those of a sub-package, face and command line too, as that package."""
    inside = set(faces())
    known = {dotted(p) for p in modules()}

    def place(module: str) -> str:
        return next((f for f in sorted(inside, key=len, reverse=True) if f"{module}.".startswith(f"{f}.")), module)

    seen: dict[str, set[str]] = defaultdict(set)
    for path in modules():
        for source, what in imports(tree(path)):
            target = f"{source}.{what}" if f"{source}.{what}" in known else source
            if target in known:
                seen[place(dotted(path))].add(place(target))
    order = TopologicalSorter({a: b - {a} for a, b in seen.items()})
    assert list(order.static_order())


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


def test_no_class_name_exists_twice() -> None:
    names = Counter(node.name for p in modules() for node in ast.walk(tree(p)) if isinstance(node, ast.ClassDef))
    assert [n for n, count in names.items() if count > 1] == []


def test_the_walk_sees_every_room() -> None:
    assert {name(p).split("/")[0] for p in modules()} == {*ROOMS, "sweetspot"}


def test_no_call_has_more_than_six_arguments_by_place() -> None:
    found = [
        f"{name(path)}:{node.lineno}"
        for path in modules()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and len(node.args) > 6
    ]
    assert found == []
