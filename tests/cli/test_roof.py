"""Nothing unexpected leaves as a verdict: one line, exit code 70, the trace in a file; a full stdout too."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sweetspot.ahead import hash_files
from sweetspot.rigs import progress
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.storage import seal

BROKEN = (
    "import sys; sys.argv = ['sweetspot', 'rig', 'check', 'desk', *sys.argv[1:]]\n"
    "import sweetspot.rigs.cli as cli\n"
    "def broken(*a, **k): raise ZeroDivisionError('a fault\\nof two lines')\n"
    "import sweetspot.command_line as program, sweetspot.roof as roof; roof.build = broken; program.main()\n"
)

LOST = (
    "import sys, time; sys.argv = ['sweetspot', 'rig', 'check', 'desk']\n"
    "import sweetspot.command_line as program, sweetspot.roof as roof\n"
    "class Held:\n"
    "    def __del__(self): raise KeyboardInterrupt\n"
    "def busy(*a, **k):\n"
    "    Held()\n"
    "    for _ in range(500): time.sleep(0.01)\n"
    "roof.build = busy; program.main()\n"
)

LEAVING = (
    "import atexit, os, sys, threading; sys.argv = ['sweetspot', *sys.argv[1:]]\n"
    "import sweetspot.command_line as program, sweetspot.roof as roof\n"
    "class Held:\n"
    "    def __del__(self, write=os.write): write(2, b'taken apart ')\n"
    "def late(): threading.main_thread().join(); sys.stderr.write('thread ')\n"
    "def build(*rooms):\n"
    "    atexit.register(sys.stderr.write, 'registered ')\n"
    "    threading.Thread(target=late).start()\n"
    "    return known(*rooms)\n"
    "known, roof.build, sys.held = roof.build, build, Held(); program.start()\n"
)


def typed(*words: str, stdout: object = subprocess.PIPE, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        stdout=stdout,  # type: ignore[call-overload]
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **env},
        check=False,
    )


def test_an_unexpected_error_is_one_line_with_its_trace_in_a_file(tmp_path: Path) -> None:
    done = typed("-c", BROKEN, XDG_STATE_HOME=str(tmp_path))
    assert done.returncode == 70
    assert len(done.stderr.splitlines()) == 1
    found = re.search(r"ZeroDivisionError: a fault of two lines.*trace is in (\S+)$", done.stderr)
    assert found, done.stderr
    trace = Path(found[1]).read_text()
    assert "Traceback" in trace
    assert "sweetspot rig check desk" in trace


def test_a_trace_that_no_folder_takes_costs_only_the_trace(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    nowhere = str(tmp_path / "file")
    done = typed("-c", BROKEN, XDG_STATE_HOME=nowhere, TMPDIR=nowhere, HOME=nowhere)
    assert done.returncode == 70
    assert len(done.stderr.splitlines()) == 1


def test_a_trace_holds_names_that_are_not_in_utf_8(tmp_path: Path) -> None:
    done = typed("-c", BROKEN.replace("of two lines", r"in lat\udcfc.wav"), XDG_STATE_HOME=str(tmp_path))
    assert (done.returncode, len(done.stderr.splitlines())) == (70, 1), done.stderr
    assert r"in lat\udcfc.wav" in next(tmp_path.glob("sweetspot/*.log")).read_text()


@pytest.mark.parametrize("words", [("measure", "show"), ("process", "--json")])
def test_a_name_that_is_not_in_utf_8_is_refused(words: tuple[str, ...], tmp_path: Path) -> None:
    name = os.fsdecode(bytes(tmp_path) + b"/lat\xfcrun")
    Path(name).mkdir()
    done = typed("-m", "sweetspot", *words, name)
    assert done.returncode == 2, done.stderr
    assert r"lat\udcfcrun: is not in UTF-8; rename it" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    inside = f"import os; os.chdir({name!r}); from sweetspot.command_line import main; main()"
    done = typed("-c", inside, *words)
    assert done.returncode == 2, done.stderr
    assert r"lat\udcfcrun: is not in UTF-8; rename it" in done.stderr


def test_an_installation_whose_folder_is_not_in_the_locale_is_told_so() -> None:
    moved = "import sweetspot.command_line as program; program.__file__ = '/lat\\udcfcn/sweetspot.py'; program.main()"
    done = typed("-c", moved, "rig", "keys")
    assert done.returncode == 2, done.stderr
    assert r"lat\udcfcn/sweetspot.py: is not in UTF-8" in done.stderr


def test_an_interrupt_that_a_finalizer_swallows_is_raised_again() -> None:
    done = typed("-c", LOST)
    assert done.returncode == 130, done.stderr
    assert done.stderr == "sweetspot: interrupted; results so far are kept\n"


def test_an_interrupted_command_answers_in_json_too() -> None:
    late = "import sweetspot.roof as r\ndef typed(*, as_json): raise KeyboardInterrupt\nr.typed = typed\n"
    done = typed("-c", f"{late}from sweetspot.command_line import main; main()", "rig", "devices", "--json")
    assert done.returncode == 130, done.stderr
    error = {"message": "interrupted; results so far are kept", "exit_code": 130}
    assert json.loads(done.stdout) == {"error": error}


def test_an_interrupt_while_the_program_loads_ends_it_without_a_traceback() -> None:
    hook = (
        "import os, signal, sys\n"
        "class Hook:\n"
        "    def find_spec(self, name, *a):\n"
        "        if name == 'sweetspot.command_line' and 'LATE' not in os.environ:\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Hook())\n"
        "import sweetspot.__main__ as begin\n"
        "sys.argv = ['sweetspot', '--version']\n"
        "begin.run()\n"
    )
    done = typed("-c", hook)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")
    done = typed("-c", hook, LATE="1")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("words", [("--version",), ("rig", "--help"), ("--help",)])
def test_a_full_stdout_is_neither_pass_nor_fail(words: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        done = typed("-m", "sweetspot", *words, stdout=full)
    assert (done.returncode, len(done.stderr.splitlines())) == (70, 1), done.stderr
    assert "could not be written to stdout: no space left" in done.stderr


def test_a_reader_that_left_is_neither_pass_nor_fail() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = typed("-m", "sweetspot", "--help", stdout=writing)
    os.close(writing)
    assert (done.returncode, len(done.stderr.splitlines())) == (70, 1), done.stderr
    assert "broken pipe" in done.stderr


def test_closed_streams() -> None:
    command = f"{sys.executable} -m sweetspot --version"
    for closed, code in ((">&- 2>/dev/null", 70), (">/dev/null 2>&-", 0), (">/dev/null 2>/dev/full <&-", 0)):
        assert subprocess.run(f"{command} {closed}", shell=True, check=False).returncode == code


def test_the_program_ends_in_order_and_without_taking_modules_apart() -> None:
    for words, code in ((("rig", "check", "desk"), 0), (("rig", "check", "nowhere"), 2)):
        done = typed("-c", LEAVING, *words)
        assert done.returncode == code
        assert done.stderr.endswith("thread registered ")
        assert bool(done.stdout) == (code == 0)


@pytest.mark.parametrize(
    "words", [("measure", "ears", "desk", "--unit", "A", "--overlap", "some"), ("export", ".", "--to", "x")]
)
def test_a_wrong_choice_is_named_without_words_of_the_parser(words: tuple[str, ...]) -> None:
    done = typed("-c", "from sweetspot.command_line import main; main()", *words)
    assert done.returncode == 2
    assert f"'{words[-1]}' is not one of '" in done.stderr
    assert "Value error" not in done.stderr


def test_a_number_out_of_its_range_is_named_with_its_value() -> None:
    done = typed("-c", "from sweetspot.command_line import main; main()", "process", ".", "--gain", "30.5")
    assert done.returncode == 2
    assert "Invalid value for '--gain': '30.5': input should be less than or equal to 24" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("fleet", "limits", ".", "--guard", "-3"),
        ("fleet", "limits", ".", "--guard", "nan"),
        ("fleet", "limits", ".", "--sigmas", "inf"),
        ("verify", ".", "--shift", "nan"),
    ],
)
def test_numbers_that_would_undo_a_verdict_are_refused(words: tuple[str, ...]) -> None:
    done = typed("-c", "from sweetspot.command_line import main; main()", *words)
    assert done.returncode == 2
    assert f"Invalid value for '{words[-2]}': '{words[-1]}': input should be" in done.stderr


@pytest.mark.parametrize("words", [(), ("process",), ("measure",), ("measure", "show")])
def test_help_shows_a_type_beside_what_takes_a_value_and_none_beside_a_flag(words: tuple[str, ...]) -> None:
    done = typed("-c", "from sweetspot.command_line import main; main()", *words, "--help")
    assert done.returncode == 0
    assert "--help" in done.stdout
    assert "bool" not in done.stdout
    assert ("<path>" in done.stdout) == (words in {("process",), ("measure", "show")})


def test_help_shows_the_type_of_one_value_where_several_are_taken() -> None:
    done = typed("-c", "from sweetspot.command_line import main; main()", "fleet", "fit", "--help")
    assert "list[" not in done.stdout
    assert re.search(r"DIR +<path>", done.stdout)


@pytest.mark.parametrize("words", [("demo",), ("measure", "ears"), ("verify", "nowhere"), ("rig", "lab")])
def test_the_list_of_faults_is_an_answer(words: tuple[str, ...]) -> None:
    """On stdout with exit code 0, whatever else the command would need."""
    done = typed("-c", "from sweetspot.command_line import main; main()", *words, "--fault", "list")
    assert (done.returncode, done.stderr) == (0, "")
    assert "unplug       the cable of an ear or microphone is unplugged (mic)" in done.stdout


def test_a_log_has_one_line_of_what_was_done(capsys: pytest.CaptureFixture[str]) -> None:
    """Whole, longer than expected, and cut short by an error."""
    with progress.tracked("Measuring", 2) as step:
        for note in ("one", "two", "[three]"):
            step(note)

    def cut_short() -> None:
        with progress.tracked("Fitting", 4) as step:
            step("left")
            raise BadInput("no")

    with pytest.raises(BadInput):
        cut_short()
    line = "━" if (sys.stderr.encoding or "").lower().startswith("utf") else "-"
    whole, cut = (
        f"Measuring          {line * 16} 3/3 00:00 [three]",
        f"Fitting            {line * 4:<16} 1/4 00:00 left",
    )
    assert capsys.readouterr().err.splitlines() == [whole, cut]


def test_a_result_for_a_file_is_written_without_the_library_for_terminals() -> None:
    asked = (
        "import sys; from sweetspot.rigs.progress import result, say, tracked\n"
        "with tracked('Working', 1) as step: step('done')\n"
        "say('a line'); result({'a': 1}, 'PASS: text', as_json=False); result({'a': 1}, '', as_json=True)\n"
        "sys.exit('rich' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout == 'PASS: text\n{\n  "a": 1\n}\n'
    assert done.stderr.splitlines()[1:] == ["a line"]


def test_only_the_command_that_is_called_is_prepared() -> None:
    """Whole where help or a mistake needs all names; the program itself stays whole."""
    from typer.main import get_command

    from sweetspot.roof import build, narrowed

    app = build("rigs", "measure")

    def names(*words: str) -> dict[str, list[str]]:
        found: Any = get_command(narrowed(app, words))
        return {name: list(getattr(c, "commands", ())) for name, c in found.commands.items()}

    whole = names()
    assert set(whole) == {"rig", "measure", "sofa"}
    assert {"polar", "show", "export"} < set(whole["measure"])
    assert names("measure", "show", "RUN", "--only", "polar") == {"measure": ["show"]}
    assert names("measure", "--help") == names("measure", "sho") == {"measure": whole["measure"]}
    assert names("measur") == names("--version") == whole
    assert get_command(narrowed(app, ["sofa", "RUN"])).name == "sofa"
    assert names() == whole


@pytest.mark.parametrize(
    ("command", "newer_s", "session"),
    [
        ("calibrate", -1, {0, seal.BLOCK}),
        ("verify", 1, {seal.BLOCK}),
        ("process", 1, {0}),
        ("process", -1, set()),
        ("report", -1, {seal.BLOCK}),
        ("measure", 1, {seal.BLOCK}),
    ],
)
def test_files_of_a_run_are_hashed_before_modules_load(
    command: str, newer_s: int, session: set[int], tmp_path: Path
) -> None:
    """As the command asks for them: as a whole, or what follows the user block."""
    for name in ("session.h5", "filterset.h5"):
        (tmp_path / name).write_bytes(bytes(seal.LARGE))
    os.utime(tmp_path / "session.h5", ((tmp_path / "filterset.h5").stat().st_mtime + newer_s,) * 2)
    before = set(seal._underway)
    hash_files([command, "show", str(tmp_path), "--json"])
    wanted = [(tmp_path / "session.h5", start) for start in session] + [(tmp_path / "filterset.h5", seal.BLOCK)]
    assert set(seal._underway) - before == {(seal.state_of(path), start) for path, start in wanted}
    for path, start in wanted:
        assert seal.file_sha256(path, start) == hashlib.sha256(bytes(seal.LARGE - start)).hexdigest()
    hash_files(["unknown", str(tmp_path)])
    assert set(seal._underway) == before


@pytest.mark.parametrize(("order", "small"), [("9\n", True), ("-1\n", False), (None, False)])
def test_numpy_requests_no_huge_pages_where_free_memory_goes_back_to_a_host(
    order: str | None, small: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the user has set stays."""
    stated = tmp_path / "page_reporting_order"
    if order is not None:
        stated.write_text(order)
    inside = (
        "import os, pathlib, sweetspot.command_line as program\n"
        "program.REPORTED = pathlib.Path('page_reporting_order')\n"
        "try: program.main()\n"
        "finally: print(os.environ.get('NUMPY_MADVISE_HUGEPAGE'))"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NUMPY_MADVISE_HUGEPAGE", raising=False)
    assert typed("-c", inside, "--version").stdout.split()[-1] == ("0" if small else "None")
    monkeypatch.setenv("NUMPY_MADVISE_HUGEPAGE", "1")
    assert typed("-c", inside, "--version").stdout.split()[-1] == "1"
