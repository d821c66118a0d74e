"""The manual: its commands print what it shows, its examples are valid, its links and pictures are there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from sweetspot.calibrate import design as designs
from sweetspot.calibrate.design import read_limits
from sweetspot.rigs.load import find

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(p for p in ROOT.glob("*/README.md") if p.parent.name in ("rigs", "measure", "processor", "calibrate"))
PAGES.append(ROOT / "README.md")
NUMBER = r"-?\d+(?:\.\d+)?"
LARGEST_PICTURES = 700_000
"""Bytes of all pictures of the manual: it is cloned by everyone."""


def consoles(page: Path) -> Iterator[tuple[str, list[str]]]:
    """Commands of the page's console blocks, each with the lines that it prints."""
    for block in re.findall(r"^```console\n(.*?)^```", page.read_text(encoding="utf-8"), re.S | re.M):
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, *lines = part.rstrip("\n").split("\n")
            yield command, lines


def pattern(lines: list[str]) -> re.Pattern[str]:
    """What a command's output must look like: the same words, any numbers, anything where the page has three dots."""
    expression = ""
    for line in lines:
        if line.strip() == "...":
            expression += r"(?:.*\n)*?"
            continue
        for i, part in enumerate(re.split(rf"(\.\.\.|{NUMBER})", " ".join(line.split()))):
            expression += (".*" if part == "..." else NUMBER) if i % 2 else re.escape(part)
        expression += r"\n"
    return re.compile(expression)


def spaced(text: str) -> str:
    """Lines with single spaces: columns are as wide as their longest cell."""
    return "".join(" ".join(line.split()) + "\n" for line in text.splitlines())


def on_path(folder: Path) -> dict[str, str]:
    """An environment in which ``sweetspot`` is a command."""
    command = folder / "bin" / "sweetspot"
    command.parent.mkdir()
    command.write_text(f"#!{sys.executable}\nfrom sweetspot.command_line import main\nmain()\n")
    command.chmod(0o755)
    return {"PATH": f"{command.parent}:{os.environ['PATH']}", "COLUMNS": "200"}


def test_patterns_distinguish_outputs() -> None:
    shown = ["ok    loopback  gain -0.0 dB", "...", "Ready: 19 checks, nothing wrong"]
    assert pattern(shown).fullmatch(spaced("ok  loopback    gain -1.0 dB\na\nb\nReady: 20 checks, nothing wrong\n"))
    assert not pattern(shown).fullmatch(spaced("ok loopback gain -1.0 dB\na\nReady: 20 checks, 1 wrong\n"))
    assert not pattern(shown).fullmatch(spaced("no loopback gain -1.0 dB\nReady: 20 checks, nothing wrong\n"))


@pytest.mark.server
def test_from_a_clone_to_a_checked_rig_file_on_a_sound_card(
    jack_server: Callable[..., AbstractContextManager[Any]],
    jack_lab: Callable[..., AbstractContextManager[Any]],
    tmp_path: Path,
) -> None:
    """Every command of the newcomer's path, typed against the lab as a sound card, prints what the page shows."""
    port, here = "/tmp/sweetspot-desk-turntable", str(tmp_path / "turntable")
    rig = tmp_path / "desk-jack.toml"
    text = find("desk-jack").read_text(encoding="utf-8")
    assert port in text
    rig.write_text(text.replace(port, here), encoding="utf-8")
    typed = list(consoles(ROOT / "rigs" / "README.md"))
    assert [c.split()[1:3] for c, _ in typed] == [
        ["rig", "devices"],
        ["rig", "new"],
        ["rig", "check"],
        ["rig", "sweep"],
        ["measure", "ears"],
    ]
    with jack_server(48000) as server, jack_lab(server, rig):
        environment = server.env | on_path(tmp_path)
        for command, lines in typed:
            done = subprocess.run(
                ["bash", "-c", command.replace(port, here)],
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                timeout=120,
            )
            assert done.returncode == 0, f"{command}: {done.stderr}"
            assert pattern(lines).fullmatch(spaced(done.stdout)), f"{command}\n{done.stdout}\n{pattern(lines).pattern}"


def test_links_and_pictures_are_there_and_small() -> None:
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page}: {link}"
    pictures = list((ROOT / "calibrate" / "pictures").glob("*.png"))
    shown = re.findall(r"\(pictures/([\w-]+\.png)\)", (ROOT / "calibrate" / "README.md").read_text(encoding="utf-8"))
    assert {p.name for p in pictures} == set(shown)
    assert sum(p.stat().st_size for p in pictures) < LARGEST_PICTURES


def test_pictures_are_those_of_the_report() -> None:
    """Names of the report's pictures: one that is renamed there must be drawn again here."""
    source = "".join(
        (ROOT / "calibrate" / "report" / f).read_text(encoding="utf-8")
        for f in ("page.py", "device_pictures.py", "image_pictures.py")
    )
    for picture in (ROOT / "calibrate" / "pictures").glob("*.png"):
        stem = re.sub(r"\d$", "", picture.stem)
        assert re.search(rf'f?"{re.escape(stem)}["{{]|f"{re.escape(stem.split("-")[0])}-{{', source), picture.name


def test_design_and_limits_that_the_page_shows_are_valid(tmp_path: Path) -> None:
    page = (ROOT / "calibrate" / "README.md").read_text(encoding="utf-8")
    design, limits = re.findall(r"^```toml\n(.*?)^```", page, re.S | re.M)
    wanted = designs.parse(design, "README")
    assert wanted.beam.nulls_deg == (-70.0, 70.0)
    assert (wanted.image.prefer, wanted.filter.taps) == (0.3, 768)
    (tmp_path / "limits.toml").write_text(limits, encoding="utf-8")
    read = read_limits(tmp_path / "limits.toml")
    assert (read.cancellation_mean, set(read.given)) == (15.0, {"cancellation_mean", "contrast", "balance", "latency"})


def test_every_command_that_a_page_shows_exists() -> None:
    from typer.main import get_command

    from sweetspot.roof import build

    root = get_command(build()).commands  # type: ignore[attr-defined]
    for page in PAGES:
        for line in re.findall(r"^(?:\$ )?sweetspot ([a-z].*)$", page.read_text(encoding="utf-8"), re.M):
            words = line.split("#")[0].split()
            command = root[words[0]]
            if hasattr(command, "commands"):
                command = command.commands[words[1]]
            known = {o for p in command.params for o in p.opts} | {"--help"}
            assert {w for w in words if w.startswith("--")} <= known, f"{page}: {line}"
