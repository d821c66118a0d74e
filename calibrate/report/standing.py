"""What a page was made from, stated at its end, so that a page that would be written again as it stands is left."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Sequence
from functools import cache
from importlib.metadata import distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sweetspot.processor import store
from sweetspot.rigs.storage import file_sha256

FILES = ("rig.toml", store.NAME, "verify.h5", "session.h5")
"""Files of a run that a page is made from, small ones first; so are their journals, and the copies in ``files``."""

ROOMS = ("rigs", "measure", "processor", "calibrate")
LIBRARIES = ("numpy", "scipy", "h5py", "jinja2", "soundfile", "soxr", "pydantic", "matplotlib")

_STATEMENT = re.compile(r"<!-- made from (\{.*\}) SHA-256 ([0-9a-f]{64}) -->\n\Z")

_VERSION = re.compile(r"^Version: *(\S+)$", re.MULTILINE)

State = tuple[tuple[str, int, int, int], ...]
"""Name, inode, size and time of each file."""


def state(run: Path) -> State:
    """What would show that a file was written meanwhile."""
    each = [(path, path.stat()) for path in _paths(run)]
    return tuple((path.name, is_.st_ino, is_.st_size, is_.st_mtime_ns) for path, is_ in each)


def sources(run: Path, music: Path | None, program: str) -> dict[str, Any]:
    """All that the page of a run depends on: :func:`program`, name of the folder, SHA-256 of files and of the music."""
    return {
        "program": program,
        "run": run.name,
        "music": None if music is None else [music.name, file_sha256(music)],
        "files": {path.relative_to(run).as_posix(): file_sha256(path) for path in _paths(run)},
    }


def stated(content: str, made_from: dict[str, Any]) -> str:
    """A page with its statement, which ends it."""
    text = json.dumps(made_from).replace("--", "\\u002d-")  # two hyphens would end the comment
    return f"{content}<!-- made from {text} SHA-256 {_sha256(content + text)} -->\n"


def stands(run: Path, page: Path, music: Path | None) -> bool:
    """Whether a page is whole, and made from what is there now by this program."""
    try:
        content = page.read_text(encoding="utf-8")
        found = _STATEMENT.search(content, max(len(content) - 100_000, 0))
        if found is None or _sha256(content[: found.start()] + found[1]) != found[2]:
            return False
        made_from = json.loads(found[1])
        now: dict[str, Any] = {"program": program(), "run": run.name}
        if any(made_from[key] != now[key] for key in now):
            return False
        paths = {path.relative_to(run).as_posix(): path for path in _paths(run)}
        if set(made_from["files"]) != set(paths):
            return False
        if any(made_from["files"][name] != file_sha256(path) for name, path in paths.items()):
            return False  # the small ones first: most changes cost no reading of a session
        return bool(made_from["music"] == (None if music is None else [music.name, file_sha256(music)]))
    except (OSError, UnicodeDecodeError):
        return False


@cache
def program() -> str:
    """SHA-256 of the program: its source text, and the versions of what it runs on."""
    libraries = [f"{name} {version(name)}" for name in LIBRARIES]
    folders = []
    for room in ROOMS:
        spec = find_spec(f"sweetspot.{room}")
        assert spec is not None
        assert spec.origin is not None
        folders.append(Path(spec.origin).parent)
    return source_sha256(folders, " ".join([sys.version, *libraries]))


def version(name: str) -> str:
    """Version of an installed package: the line of its description, of which ``importlib.metadata`` parses all (1 ms).

    Raises
    ------
    PackageNotFoundError
        It is not installed.
    """
    found = _VERSION.search(distribution(name).read_text("METADATA") or "")
    return found[1] if found else distribution(name).version


def source_sha256(folders: Sequence[Path], more: str) -> str:
    """SHA-256 of the program text and the templates in folders, with their names, and of more text."""
    digest = hashlib.sha256(more.encode())
    for folder in folders:
        for path in sorted(p for p in folder.rglob("*") if p.suffix in {".py", ".j2", ".css"}):
            text = path.read_bytes()
            digest.update(f"\n{folder.name}/{path.relative_to(folder).as_posix()} {len(text)}\n".encode())
            digest.update(text)
    return digest.hexdigest()


def _paths(run: Path) -> list[Path]:
    beside = [run / name for name in FILES] + [run / f"{name}.journal" for name in FILES]
    copies = sorted(p for p in (run / "files").rglob("*") if p.is_file())
    return [path for path in beside if path.is_file()] + copies


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
