"""Files that hold: what is damaged, edited, linked elsewhere or in use is refused with its name; writes are whole."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.names import check_serial, runs_of
from sweetspot.rigs.storage import (
    File,
    Group,
    Kind,
    alone,
    append,
    begin_to_disk,
    built,
    kept_array,
    replacing,
    seal,
    write,
)
from sweetspot.rigs.storage import kept as kept_module
from sweetspot.rigs.storage.objects import SMALL


def check(root: Group) -> None:
    for data in root.every():
        data[:]


KIND = Kind("example", 1, "make it again", check)


def build(root: Group) -> None:
    root.attrs.update(unit="T-1", names=["a", "bé"])
    root.create_data("taps", np.random.default_rng(0).normal(size=(3, 5, 700)))
    group = root.create_group("more")
    group.create_data("text", "größer")
    group.create_data("none", np.zeros((0, 3)))


@pytest.fixture(scope="module")
def whole() -> bytes:
    return built(KIND, build)


@pytest.fixture
def path(tmp_path: Path, whole: bytes) -> Path:
    write(tmp_path / "f.h5", whole)
    return tmp_path / "f.h5"


def read(path: Path) -> None:
    with File.read(path, KIND) as file:
        check(file.root)
        file.root.attrs.items()


def test_a_whole_file_is_read_and_every_data_set_has_a_checksum(path: Path, whole: bytes) -> None:
    assert built(KIND, build) == whole
    with File.read(path, KIND) as file:
        assert file.root.group("more").data("text").texts() == ("größer",)
        assert file.root.attrs["names"] == ["a", "bé"]
    kept: list[bool] = []
    with h5py.File(path) as file:
        file.visititems(lambda _, found: kept.append(found.fletcher32) if isinstance(found, h5py.Dataset) else None)
    assert kept == [True] * 3


EDITS: dict[str, tuple[Callable[[h5py.File], object], str]] = {
    "sign": (lambda f: f["taps"].__setitem__((0, 1, 2), -f["taps"][0, 1, 2]), "/taps: its values are not those"),
    "attribute": (lambda f: f.attrs.__setitem__("unit", "T-2"), "SHA-256 differs"),
    "soft link": (lambda f: f.__setitem__("s", h5py.SoftLink("/taps")), "/s: is a link to another place"),
    "loop": (lambda f: f["more"].__setitem__("l", f["/"]), "/more/l: is linked more than once"),
    "hard link": (lambda f: f.__setitem__("z", f["taps"]), "linked more than once"),
    "external link": (lambda f: f.__setitem__("e", h5py.ExternalLink("x.h5", "/a")), "/e: is a link to another file"),
    "external": (lambda f: f.create_dataset("r", 9, "u1", external=[("/etc/passwd", 0, 9)]), "/r: its values lie in"),
    "virtual": (lambda f: f.create_virtual_dataset("v", h5py.VirtualLayout((3,), "f8")), "/v: is put together"),
    "huge": (lambda f: f.create_dataset("h", 1 << 42, "u1", chunks=(1 << 20,)), "cannot hold it"),
    "huge, whole": (lambda f: f.create_dataset("h", 1 << 42, "u1"), "cannot hold it"),
    "filter": (lambda f: f.create_dataset("p", 99, "u1", compression="lzf"), "stored with filter 32000"),
    "reference": (lambda f: f.create_dataset("o", data=f["taps"].ref, dtype=h5py.ref_dtype), "numbers and texts"),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edited_file_is_refused_with_the_place(path: Path, name: str) -> None:
    edit, message = EDITS[name]
    with h5py.File(path, "r+") as file:
        edit(file)
    with pytest.raises(BadInput, match=message) as refused:
        read(path)
    assert str(path) in str(refused.value)


@pytest.mark.parametrize("name", [name for name in EDITS if name not in ("sign", "attribute")])
def test_a_file_that_was_edited_and_sealed_again_is_refused_at_the_latest_when_the_place_is_read(
    path: Path, name: str
) -> None:
    edit, message = EDITS[name]
    with h5py.File(path, "r+") as file:
        edit(file)
    seal.close(path)
    for _ in range(2):  # also where the links are known to this process
        with pytest.raises(BadInput, match=message) as refused:
            read(path)
        assert str(path) in str(refused.value)
    with pytest.raises(BadInput, match=message):
        File.resume(path, KIND)


@pytest.mark.parametrize("damage", [b"", b"text " * 300])
def test_what_is_no_hdf5_file_is_refused(path: Path, damage: bytes) -> None:
    path.write_bytes(damage)
    with pytest.raises(BadInput, match="is no HDF5 file"):
        read(path)


def test_a_file_without_its_checksum_is_refused(path: Path, whole: bytes) -> None:
    path.write_bytes(whole[512:])
    with pytest.raises(BadInput, match="not those that were written"):
        read(path)


def test_a_file_that_is_open_for_writing_elsewhere_is_named_as_such(path: Path) -> None:
    with h5py.File(path, "r+"), pytest.raises(BadInput, match="another program has it open for writing"):
        read(path)


def test_no_flipped_byte_is_accepted(path: Path, whole: bytes) -> None:
    """Also where no checksum of the whole is there, as a kill leaves a session, nothing but a refusal comes of it."""
    found: Counter[str] = Counter()
    for seed in range(50):
        rng = random.Random(seed)
        data = bytearray(whole)
        for _ in range(rng.choice([1, 1, 5, 200])):
            data[rng.randrange(len(data))] ^= rng.randrange(1, 256)
        for state in ("closed", "open"):
            path.write_bytes(data if state == "closed" else b"sweetspot content open\n".ljust(512, b"\0") + data[512:])
            try:
                read(path)
                found[f"{state} accepted"] += 1
            except BadInput:
                found[f"{state} refused"] += 1
    assert found["closed refused"] == 50
    assert found["open refused"] > 25


def test_one_attribute_of_many_members_is_read_as_of_each(tmp_path: Path) -> None:
    def many(root: Group) -> None:
        for name, values in (("b", {"reason": "größer", "run": 3}), ("a", {"reason": ""}), ("c", {"run": 2})):
            root.create_data(name, np.zeros(2)).attrs.update(**values)
        root.create_group("d").attrs["reason"] = "a group's"

    write(tmp_path / "f.h5", built(KIND, many))
    with File.read(tmp_path / "f.h5", KIND) as file:
        assert list(file.root.members_with("reason")) == [("a", ""), ("b", "größer"), ("d", "a group's")]
        assert dict(file.root.members_with("run")) == {"b": 3, "c": 2}
        assert list(file.root.members_with("none")) == []
    with h5py.File(tmp_path / "large.h5", "w", libver="latest") as file:
        file.create_group("g").create_dataset("d", data=0).attrs["reason"] = np.zeros(SMALL // 8 + 1)
        group = Group(file["g"], tmp_path / "large.h5", True, "make it again")
        with pytest.raises(BadInput, match=r"attribute reason of /g/d.*too many for an attribute"):
            list(group.members_with("reason"))


def test_a_growing_file_has_its_checksum_when_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "g.h5"
    with File.create(path, KIND) as file:
        data = file.root.create_empty("x", (2, 3), "f4", np.nan)
        data[0] = [1.0, 2.0, 3.0]
    read(path)
    with File.resume(path, KIND) as file:
        file.root.data("x")[1] = [4.0, 5.0, 6.0]
        assert path.read_bytes()[:23] == b"sweetspot content open\n"
    with File.read(path, KIND) as file:
        assert file.seal.state == "sealed"
        assert file.root.data("x")[:].tolist() == [[1, 2, 3], [4, 5, 6]]


def test_a_failed_write_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write(path, "old")

    def fail() -> None:
        with replacing(path) as part:
            part.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]
    with pytest.raises(BadInput, match="is a device"):
        write(Path("/dev/null"), "x")
    with pytest.raises(BadInput, match="does not exist"):
        write(tmp_path / "no" / "a.txt", "x")


def test_a_full_disk_is_called_one(tmp_path: Path) -> None:
    """A limit on the size of files stands in for the disk."""
    code = (
        "import resource, signal, sys; from pathlib import Path; from sweetspot.rigs.storage import append, write\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))\n"
        "for do, name in ((write, 'a'), (append, 'b')):\n"
        "    try: do(Path(name), 'x' * 5000)\n"
        "    except Exception as fault: print(type(fault).__name__, fault)\n"
    )
    (tmp_path / "b").write_text("one\ntwo, cut")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.count("BadInput") == done.stdout.count("the disk is full") == 2
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"b": "one\n", "b.partial": "two, cut\n"}


def test_a_partial_line_is_set_aside_before_the_next(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text('{"a": 1}\n{"a": 2')
    append(path, '{"a": 3}')
    assert path.read_text() == '{"a": 1}\n{"a": 3}\n'
    assert (tmp_path / "r.jsonl.partial").read_text() == '{"a": 2\n'


def test_a_lock_names_its_owner_and_ends_with_it(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from sweetspot.rigs.storage import alone\n"
        "sys.argv = ['sweetspot', 'verify', 'RUN']\n"
        "with alone(Path('.')): print('held', flush=True); sys.stdin.read()\n"
    )
    held = subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert held.stdout is not None
    assert held.stdout.readline() == "held\n"
    with pytest.raises(BadInput, match=f"in use by process {held.pid} on .*sweetspot verify RUN"), alone(tmp_path):
        pass
    threading.Timer(0.2, held.kill).start()
    with alone(tmp_path, wait_s=10.0):
        pass
    held.communicate()
    with alone(tmp_path), alone(tmp_path):
        assert (tmp_path / ".lock").exists()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "../x",
        "a/b",
        "A\n",
        "-x",
        "a" * 65,
        "ä",
        "a..b",
        "=1",
        "a b",
        "CON",
        "nul",
        "Lpt1.7",
        "com3",
        "A-1.",
        "A ",
        " A",
    ],
)
def test_what_is_no_serial_number(text: str) -> None:
    with pytest.raises(BadInput, match="is no serial number"):
        check_serial(text, "--unit")


@pytest.mark.parametrize("text", ["CONE", "NUL-1", "COM12", "A.CON", "LPT", "A-1.2"])
def test_what_only_looks_like_a_device_is_a_serial_number(text: str) -> None:
    assert check_serial(text, "--unit") == text


def test_a_large_file_is_hashed_once_and_ahead_of_whoever_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seal, "LARGE", 1 << 10)
    monkeypatch.setattr(seal, "AT_ONCE", 1 << 8)
    begun: list[None] = []

    def counted() -> Any:
        begun.append(None)
        return sha256()

    monkeypatch.setattr(seal.hashlib, "sha256", counted)
    path, content = tmp_path / "large", bytes(range(256)) * 20
    path.write_bytes(content)
    seal.hash_ahead(path)
    seal.hash_ahead(path)
    assert seal.file_sha256(path) == sha256(content).hexdigest()
    assert len(begun) == 1
    seal.hash_ahead(path, content=True)
    assert seal.content_sha256(path) == sha256(content[seal.BLOCK :]).hexdigest()
    assert len(begun) == 2
    path.write_bytes(content * 2)
    seal.hash_ahead(path, content=True)
    assert seal.content_sha256(path) == sha256((content * 2)[seal.BLOCK :]).hexdigest()
    assert seal.file_sha256(path) == sha256(content * 2).hexdigest()
    assert len(begun) == 4
    path.write_bytes(content[:-1])
    assert seal.file_sha256(path) == sha256(content[:-1]).hexdigest()
    seal.hash_ahead(tmp_path / "missing")
    with pytest.raises(FileNotFoundError):
        seal.file_sha256(tmp_path / "missing")


def test_a_file_that_was_closed_is_known_under_any_name_until_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seal, "LARGE", 1 << 10)
    hashed: list[Path] = []
    content_of = seal.content_sha256
    monkeypatch.setattr(seal, "content_sha256", lambda path: hashed.append(path) or content_of(path))
    path, other = tmp_path / "new", tmp_path / "old"
    path.write_bytes(seal.block() + bytes(5000))
    assert seal.compared(path).state == "open"
    seal.close(path)
    path.replace(other)
    assert seal.compared(other) == seal.Seal("sealed", sha256(bytes(5000)).hexdigest())
    assert hashed == [path]
    with other.open("r+b") as file:
        file.seek(700)
        file.write(b"1")
    os.utime(other, ns=(0, other.stat().st_mtime_ns + 1))
    assert seal.compared(other).state == "changed"
    assert hashed == [path, other]


def test_an_array_is_kept_until_its_sources_or_the_wish_change(tmp_path: Path) -> None:
    """Made once; anew for another wish, another text, or a damaged file; only the newest of a name stays."""
    made: list[int] = []

    def make() -> np.ndarray:
        made.append(len(made))
        return np.full((2, 3), len(made), dtype=np.float32)

    def asked(what: str) -> float:
        kept_module._text.cache_clear()  # another process would read the sources again
        found = kept_array("sums", what, (source, beside), make)
        assert found.shape == (2, 3)
        assert found.dtype == np.float32
        assert not found.flags.writeable
        return float(found[1, 2])

    source, beside = tmp_path / "a.py", tmp_path / "b.py"
    source.write_text("one")
    beside.write_text("two")
    assert [asked("x"), asked("x"), asked("y"), asked("y")] == [1.0, 1.0, 2.0, 2.0]
    beside.write_text("three")
    assert [asked("y"), asked("y")] == [3.0, 3.0]
    (path,) = (tmp_path / "__pycache__").iterdir()
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert [asked("y"), asked("y")] == [4.0, 4.0]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such call")
def test_the_disk_can_begin_with_a_part_of_a_file_and_of_nothing_else(tmp_path: Path) -> None:
    with (tmp_path / "a").open("wb") as file:
        file.write(bytes(1 << 16))
        file.flush()
        assert begin_to_disk(file.fileno(), 0, 1 << 16)
    out, into = os.pipe()
    assert not begin_to_disk(into, 0, 1 << 16)
    os.close(out)
    os.close(into)


def test_numbers_that_follow_each_other_are_shown_as_a_run() -> None:
    assert runs_of([9, 1, 2, 7, 5, 6, 7]) == "1, 2, 5 to 7, 9"
    assert runs_of([]) == ""
