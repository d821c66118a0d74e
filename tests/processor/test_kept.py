"""Compiled loops that are kept without numba, files through the live block path, and work on other cores."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from sweetspot.processor import render
from sweetspot.processor.compiled import loop, loops_code, record
from sweetspot.processor.crossfade import RAMP, mix, ramp
from sweetspot.processor.filterset import UpmixSettings
from sweetspot.processor.upmix import chosen
from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.parallel import forked
from sweetspot.rigs.units import Float

pytestmark = pytest.mark.skipif(find_spec("numba") is None, reason="needs numba")


def test_a_kept_loop_does_what_is_written() -> None:
    """Records, arrays of both precisions and numbers come through; what it writes is what Python writes."""
    rng = np.random.default_rng(4)
    y, other = rng.standard_normal((3, 17)).astype(np.float32), rng.standard_normal((3, 17)).astype(np.float32)
    both = []
    for run in (loop(ramp), ramp):
        memory, gains = record(RAMP), np.zeros(17)
        memory.start, memory.target, memory.length, memory.done = 0.25, 1.0, 40, 3
        run(memory, gains)
        both.append((gains, memory.done))
    np.testing.assert_allclose(both[0][0], both[1][0], rtol=1e-12)
    assert both[0][1] == both[1][1] == 20
    mixed, plain = y.copy(), y.copy()
    loop(mix)(mixed, other, both[0][0])
    mix(plain, other, both[1][0])
    np.testing.assert_allclose(mixed, plain, atol=1e-6)


def test_code_without_a_body_is_never_kept() -> None:
    """A compiler that loads its own cache gives a text that only names the function; calling that would crash."""
    bare = "declare double @cfunc.nobody(i64)\n"
    with pytest.raises(RuntimeError, match="without a body"):
        loops_code("nobody", lambda: bare, "cfunc.", (Path(__file__),))


def test_who_waits_for_a_compiler_knows_why_and_that_it_happens_once(tmp_path: Path) -> None:
    """One line, though a copy of the process compiles too; none where all is kept, which goes by the text."""
    unseen = f"# {os.urandom(8).hex()}\n"
    (tmp_path / "two.py").write_text(
        f"{unseen}def one(x):\n    return x + 1.0\n\n\ndef other(x):\n    return x - 1.0\n"
    )
    script = (
        "import two; from sweetspot.rigs.parallel import forked; from sweetspot.processor.compiled import ahead, loop\n"
        "ahead(); beside = forked.begun([lambda: loop(two.other)(1.5)])\n"
        "print(loop(two.one)(1.5), beside())\n"
    )
    for line in ("Compiling loops for this machine, once for each version of the program: up to a minute\n", ""):
        done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
        assert (done.returncode, done.stdout, done.stderr) == (0, "2.5 [0.5]\n", line)


def test_arrays_in_another_order_are_refused() -> None:
    with pytest.raises(ValueError, match="C order"):
        loop(mix)(np.zeros((4, 3), dtype=np.float32).T, np.zeros((3, 4), dtype=np.float32), np.zeros(4))


@pytest.mark.parametrize("method", ["soft-projection", "low-latency", "off"])
def test_programs_of_a_signal_are_those_of_the_upmix(method: str) -> None:
    """The block path against the upmix itself, in double precision: -120 dB."""
    fs, settings = 47872, replace(UpmixSettings(), method=method)
    x = np.random.default_rng(7).standard_normal((2, 12_345))
    x[1] = 0.4 * x[0] + 0.6 * x[1]
    upmix = chosen(settings, fs)
    wanted = upmix.process(np.concatenate([x, np.zeros((2, upmix.latency))], axis=1))[:, upmix.latency :]
    found = render.upmixed(settings, fs, x)
    assert found.shape == wanted.shape
    assert np.linalg.norm(found - wanted) <= 1e-6 * np.linalg.norm(wanted)


def test_a_second_start_does_not_import_numba() -> None:
    text = (
        "import sys, numpy as np\n"
        "from sweetspot.processor import render\nfrom sweetspot.processor.filterset import UpmixSettings\n"
        "render.upmixed(UpmixSettings(), 48000, np.ones((2, 5000)))\nprint('numba' in sys.modules)\n"
    )
    for _ in range(2):
        outcome = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True).stdout
    assert outcome.strip() == "False"


def test_what_kept_loops_need_can_be_loaded_ahead_of_a_copy() -> None:
    text = (
        "import sys, numpy as np\nfrom sweetspot.processor.compiled import ahead\n"
        "from sweetspot.processor.dynamics import limited\nprint('llvmlite.binding' in sys.modules)\nahead()\n"
        "before = set(sys.modules)\nlimited(np.ones((2, 500)), np.ones(2), 48000)\n"
        "print('llvmlite.binding' in before, [m for m in set(sys.modules) - before if 'llvm' in m or 'numba' in m])\n"
    )
    for _ in range(2):
        outcome = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True).stdout
    assert outcome.split("\n")[:2] == ["False", "True []"]


def test_work_on_other_cores_comes_back_in_order() -> None:
    here = os.getpid()
    assert forked.begun([lambda i=i: i * i for i in range(7)])() == [0, 1, 4, 9, 16, 25, 36]
    assert forked.begun([os.getpid, os.getpid], here=True)() == [here, here]


def test_work_that_nobody_waits_for_is_ended() -> None:
    with forked.begun([lambda: time.sleep(60.0)]) as work:
        (process, _) = work._copied[0] if work._copied else (0, None)
    assert not work._copied
    if process:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)
    with forked.begun([os.getpid]) as asked:
        assert len(asked()) == 1


def test_work_on_another_core_waits_for_what_is_given_later() -> None:
    large = np.arange(200_000.0)  # more than a pipe holds
    later = forked.Later[tuple[str, Float]]()

    def seen() -> tuple[int, str, float]:
        name, values = later()
        return os.getpid(), name, float(values.sum())

    with forked.begun([seen]) as work:
        later.give(("filters", large))
        ((process, *found),) = work()
    assert found == ["filters", float(large.sum())]
    assert (process != os.getpid()) == (len(os.sched_getaffinity(0)) > 1)
    assert forked.begun([seen], here=True)() == [(os.getpid(), "filters", float(large.sum()))]


def test_a_value_that_is_never_given_leaves_no_pipe_open() -> None:
    """A fleet with many sessions that cannot be fitted would open one for each."""
    with forked.Later[int]() as later, forked.begun([later]):
        pass
    with pytest.raises(ValueError, match="closed"):
        later()


def test_work_that_waits_for_a_process_that_ended_ends_too() -> None:
    text = (
        "import os\nfrom sweetspot.rigs.parallel import forked\nlater = forked.Later()\n"
        "begun = forked.begun([later])\nprint(len(begun._copied), flush=True)\nos._exit(0)\n"
    )
    outcome = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True, timeout=60)
    assert int(outcome.stdout) <= 1  # the other one has its output open until it ends


def test_a_stream_has_its_values_in_order_and_what_went_wrong_in_its_place() -> None:
    if len(os.sched_getaffinity(0)) < 2:
        assert forked.streamed(list[int]) is None
        return

    def made(fault: type[Exception]) -> Iterator[tuple[int, Float]]:
        for i in range(3):
            yield os.getpid(), np.full(200_000, float(i))  # more than a pipe holds
        raise fault("rig.toml: 3 is wrong")

    with forked.streamed(lambda: ((os.getpid(), i) for i in range(2 * forked.WAITING))) as few:
        found = list(few)
        assert [i for _, i in found] == list(range(2 * forked.WAITING))
        assert found[0][0] != os.getpid()
    for fault, seen in ((BadInput, BadInput), (ZeroDivisionError, RuntimeError)):
        with forked.streamed(partial(made, fault)) as stream:
            assert [float(next(stream)[1].sum()) for _ in range(3)] == [0.0, 2e5, 4e5]
            with pytest.raises(seen, match="3 is wrong"):
                next(stream)
    with forked.streamed(lambda: iter([time.sleep(60.0)])) as slow:
        ((process, _),) = slow._copied
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_what_goes_wrong_on_another_core_is_reported_here() -> None:
    def refused() -> None:
        raise BadInput("rig.toml: 3 is wrong")

    def broken() -> None:
        raise ZeroDivisionError("by nothing")

    with pytest.raises(BadInput, match=r"rig\.toml: 3 is wrong"):
        forked.begun([refused, refused])()
    with pytest.raises((RuntimeError, ZeroDivisionError), match="by nothing"):
        forked.begun([broken, broken])()
    with pytest.raises(BadInput, match=r"rig\.toml: 3 is wrong"):
        forked.shared([refused, os.getpid, refused])


def test_functions_are_shared_out_over_cores_each_once() -> None:
    assert forked.shared([lambda i=i: (i, os.getpid()) for i in range(1)]) == [(0, os.getpid())]
    found = forked.shared([lambda i=i: (i, os.getpid(), time.sleep(0.02)) for i in range(12)])
    assert [i for i, *_ in found] == list(range(12))
    if len(os.sched_getaffinity(0)) > 1:
        assert len({process for _, process, _ in found}) > 1


def test_another_core_that_dies_is_reported() -> None:
    if len(os.sched_getaffinity(0)) > 1:
        with pytest.raises(RuntimeError, match="without a result"):
            forked.begun([lambda: os._exit(3)])()


def test_a_disk_without_room_costs_what_is_kept_and_nothing_else(tmp_path: Path) -> None:
    """Compiled functions run where the compiler's own store has no room for them."""
    (tmp_path / "added.py").write_text("def added(x):\n    return x + 1.0\n")
    script = (
        "import resource; from added import added; from sweetspot.processor.compiled import kept; made = kept(added)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)); print(made(1.5))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "2.5\n"), done.stderr
