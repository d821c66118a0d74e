"""The pages of the deployed processor: every command on them works as it stands, on a JACK server of its own."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sweetspot.processor import store
from sweetspot.processor.export import ENGINES
from tests.processor.library.loaded import crooked
from tests.test_readme import typed

DOCS = Path(__file__).parents[2] / "processor" / "docs"
PAGES = sorted(page.name for page in DOCS.glob("*.md"))
TOOLS = ("jackd", "jalv", "lv2apply", "lv2_validate", "brutefir", "jconvolver", "ffmpeg", "gcc", "make")
MISSING = [t for t in TOOLS if shutil.which(t) is None]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the filters of a unit in its runs."""
    place = tmp_path_factory.mktemp("pages")
    run = place / "runs" / "SN-0042" / "20260304T120000Z-desk"
    run.mkdir(parents=True)
    (run / "session.h5").write_bytes(b"")
    store.write(run / store.NAME, replace(crooked(3, 128, 48000), source=hashlib.sha256(b"").hexdigest()))
    return place


@pytest.mark.server
@pytest.mark.skipif(bool(MISSING), reason=f"{MISSING} absent: `make test` installs them")
def test_commands_of_the_pages_run_in_order(
    made: Path, jack_server: Callable[..., AbstractContextManager[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with jack_server(48000) as server:
        for name, value in server.env.items():
            monkeypatch.setenv(name, value)
        for page in PAGES:
            if "```sh" in (DOCS / page).read_text():
                here = made / page
                shutil.copytree(made / "runs", here / "runs")
                done = typed(DOCS / page, here)
                assert done.returncode == 0, f"{page}: {done.stderr}{done.stdout}"


def test_every_target_has_a_page_and_links_lead_somewhere() -> None:
    texts = {page: (DOCS / page).read_text() for page in PAGES}
    for engine in ENGINES:
        assert any(f"--to {engine} " in text for text in texts.values()), engine
    for page, text in texts.items():
        for link in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (DOCS / link).exists(), (page, link)
