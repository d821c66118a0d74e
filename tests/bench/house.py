"""Measures the house: files per folder, floors and arrows between rooms, lines, names that exist twice, arguments.

Run it as ``python tests/bench/house.py [FOLDER]``; FOLDER is a checkout, by default this one, so that two commits can
be compared: ``git worktree add ../before COMMIT && python tests/bench/house.py ../before``.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOMS = ("rigs", "measure", "processor", "calibrate")
CROWDED = 18
MANY = 6


def modules(root: Path) -> dict[str, ast.Module]:
    """Syntax trees by dotted name, the namespace left out."""
    paths = sorted(p for room in ROOMS for p in (root / room).rglob("*.py"))
    return {
        p.relative_to(root).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__"): ast.parse(
            p.read_text(encoding="utf-8")
        )
        for p in paths
    }


def imports(tree: ast.Module, known: set[str]) -> Iterator[str]:
    """Modules of the house that a tree imports; a name that a face hands on counts for the face's package."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            source = node.module.removeprefix("sweetspot.")
            for alias in node.names:
                inside = f"{source}.{alias.name}"
                if inside in known or source in known:
                    yield inside if inside in known else source


def arrows(trees: dict[str, ast.Module], room: str, deep: bool) -> dict[str, set[str]]:
    """Who imports whom inside a room: its files where ``deep``, else its sub-packages and loose files."""

    def place(module: str) -> str:
        return module if deep else ".".join(module.split(".")[:2])

    found: dict[str, set[str]] = defaultdict(set)
    for name, tree in trees.items():
        if name.startswith(f"{room}."):
            found[place(name)] |= {place(i) for i in imports(tree, set(trees)) if i.startswith(f"{room}.")}
    return {a: b - {a} for a, b in found.items()}


def floors(edges: dict[str, set[str]]) -> str:
    """Longest chain of imports, the ground being floor 1; or that there is none, because places import in circles."""
    level: dict[str, int] = {}
    try:
        for name in TopologicalSorter(edges).static_order():
            level[name] = 1 + max((level[b] for b in edges.get(name, ())), default=0)
    except CycleError:
        return "circles"
    return f"{max(level.values(), default=0)} floors"


def functions(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Names of functions, and how many arguments may be given to each by place or by name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            a = node.args
            count = len(a.posonlyargs) + len(a.args) + len(a.kwonlyargs)
            yield node.name, count - bool(a.args and a.args[0].arg in ("self", "cls"))


def calls_by_place(tree: ast.Module) -> int:
    """Calls with more than six arguments by place."""
    return sum(isinstance(n, ast.Call) and len(n.args) > MANY for n in ast.walk(tree))


def main(root: Path) -> None:
    """Print the figures."""
    trees = modules(root)
    folders = Counter(p.parent.relative_to(root).as_posix() for room in ROOMS for p in (root / room).rglob("*.py"))
    print(f"largest folders (at most {CROWDED} files):", ", ".join(f"{f} {n}" for f, n in folders.most_common(4)))
    for room in ROOMS:
        outer, inner = arrows(trees, room, deep=False), arrows(trees, room, deep=True)
        lines = sum(len(p.read_text(encoding="utf-8").splitlines()) for p in (root / room).rglob("*.py"))
        between, within = sum(map(len, outer.values())), sum(map(len, inner.values()))
        places = f"{len(outer):>2} places, {floors(outer):>9}, {between:>3} arrows"
        print(f"{room:<10} {lines:>6} lines, {places} ({len(inner):>3} files, {within:>3} arrows)")
    files = [p for p in (root / "processor").rglob("*.py") if "export" not in p.relative_to(root).parts]
    alone = sum(len(p.read_text(encoding="utf-8").splitlines()) for p in files)
    print(f"processor without its exports: {alone} lines")
    classes = Counter(n.name for t in trees.values() for n in ast.walk(t) if isinstance(n, ast.ClassDef))
    twice = sorted(name for name, count in classes.items() if count > 1)
    print(f"class names that exist twice: {len(twice)}", *twice)
    counts = sorted((c, f"{m}:{n}") for m, t in trees.items() for n, c in functions(t))
    print(f"arguments of a function: 90th percentile {counts[int(0.9 * len(counts))][0]}, most {counts[-1]}")
    print(f"calls with more than {MANY} arguments by place: {sum(map(calls_by_place, trees.values()))}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[2])
