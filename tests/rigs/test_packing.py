"""Chunks that are packed here are what HDF5's own filters read and write, whatever is written and wherever."""

from __future__ import annotations

import io
import math
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.storage import Group, foreign, packing

PACKED: dict[str, Any] = {"shuffle": True, "compression": "gzip", "compression_opts": 6}
SHAPE, CHUNKS = (5, 3, 47), (2, 3, 20)


@pytest.fixture
def file() -> Iterator[h5py.File]:
    with h5py.File(io.BytesIO(), "w") as made:
        yield made


def group(file: h5py.File) -> Group:
    """As of a file without checksum of its own."""
    return Group(file, Path("a file"), False, "make it again")


def noise(shape: tuple[int, ...], dtype: str = "f4", seed: int = 0) -> NDArray[Any]:
    """Every bit at random: nothing that shrinks."""
    count = math.prod(shape) * np.dtype(dtype).itemsize
    return np.frombuffer(np.random.default_rng(seed).bytes(count), dtype).reshape(shape)


def counts(shape: tuple[int, ...], dtype: str = "i4") -> NDArray[Any]:
    """Of a quiet signal: most bytes are alike."""
    return np.random.default_rng(1).normal(0.0, 50.0, shape).round().astype(dtype)


def stored(data: h5py.Dataset) -> list[tuple[tuple[int, ...], int, bytes]]:
    """Chunks as they lie in the file: place, filter mask, bytes."""
    infos = [data.id.get_chunk_info(k) for k in range(data.id.get_num_chunks())]
    return [(i.chunk_offset, *data.id.read_direct_chunk(i.chunk_offset)) for i in infos]


@pytest.mark.parametrize("dtype", ["i4", "<f4", ">f4", "f8", "i2", "u1", "c8"])
@pytest.mark.parametrize("make", [counts, noise])
def test_the_librarys_own_filters_read_what_was_packed(file: h5py.File, dtype: str, make: Any) -> None:
    values = make(SHAPE, dtype)
    group(file).create_data("x", values, chunks=CHUNKS, **PACKED)
    file.flush()
    found = file["x"]
    assert found[...].tobytes() == values.tobytes()
    assert found.dtype == values.dtype
    assert {mask for _, mask, _ in stored(found)} <= {0, packing.NOT_DEFLATED}
    assert (found.shuffle, found.compression, found.fletcher32) == (True, "gzip", True)


@pytest.mark.parametrize("fill", [0, -7])
def test_chunks_hold_the_bytes_that_the_library_would_store(file: h5py.File, fill: int) -> None:
    """Edges included: the padding, the order of the filters and their checksum, which is that of the stored bytes."""
    values = counts(SHAPE)
    group(file).create_empty("ours", SHAPE, "i4", fill, chunks=CHUNKS, **PACKED)[:] = values
    theirs = file.create_dataset("theirs", SHAPE, "i4", fillvalue=fill, chunks=CHUNKS, fletcher32=True, **PACKED)
    theirs[...] = values
    file.flush()
    assert len(stored(theirs)) == 3 * 1 * 3
    for (place, mask, ours), (where, other, usual) in zip(stored(file["ours"]), stored(theirs), strict=True):
        assert (place, mask) == (where, other)
        assert unpacked(ours) == unpacked(usual)
        assert usual[-4:] == packing.fletcher32(usual[:-4]).to_bytes(4, "little")


def unpacked(chunk: bytes) -> bytes:
    """By zlib, which ends at the end of its stream: the checksum is left."""

    reader = zlib.decompressobj()
    plain = reader.decompress(chunk)
    assert reader.eof
    assert len(reader.unused_data) == 4
    return plain


def test_a_chunk_that_does_not_shrink_is_kept_as_it_is(file: h5py.File) -> None:
    values = noise((2, 3000))
    group(file).create_data("x", values, chunks=(1, 3000), **PACKED)
    chunks = stored(file["x"])
    assert [(mask, len(raw)) for _, mask, raw in chunks] == [(packing.NOT_DEFLATED, 4 * 3000 + 4)] * 2
    assert file["x"][...].tobytes() == values.tobytes()


@pytest.mark.parametrize("count", [4096, 65535, 65536, 200_000])
@pytest.mark.parametrize("level", [packing.THOROUGH - 1, packing.THOROUGH])
def test_lowest_bytes_that_are_noise_are_kept_as_they_are_below_a_level(
    file: h5py.File, level: int, count: int
) -> None:
    """The library reads them, in one block or in several; they lie in the file ahead of what was compressed."""
    values = np.random.default_rng(2).normal(0.0, 1e4, (1, count)).round().astype("<i4")
    group(file).create_data("x", values, chunks=(1, count), **PACKED | {"compression_opts": level})
    file.flush()
    assert file["x"][...].tobytes() == values.tobytes()
    ((_, _, chunk),) = stored(file["x"])
    assert values.view("u1")[0, ::4].tobytes()[:4096] in chunk
    assert chunk.startswith(b"\x78\x01\x00") == (level < packing.THOROUGH)  # the library's streams begin otherwise
    assert len(chunk) < 0.7 * values.nbytes


@pytest.mark.parametrize("step", [1, 16])
def test_lowest_bytes_that_shrink_are_compressed_at_any_level(file: h5py.File, step: int) -> None:
    """Few values, or few of them at a time: half of the file is silence."""
    values = (step * np.random.default_rng(2).normal(0.0, 1e4, (1, 60_000)).round()).astype("<i4")
    values[:, 30_000:] = values[:, 30_000:] if step > 1 else 7
    sizes = []
    for level in (packing.THOROUGH - 1, packing.THOROUGH):
        data = group(file).create_data(f"{level}", values, chunks=values.shape, **PACKED | {"compression_opts": level})
        assert data[:].tobytes() == values.tobytes()
        file.flush()
        sizes.append(file[f"{level}"].id.get_storage_size())
    assert sizes[0] < 1.01 * sizes[1]


@given(st.binary(max_size=3000) | st.integers(0, 70_000).map(bytes) | st.integers(1, 70_000).map(lambda n: b"\xff" * n))
@settings(max_examples=60, deadline=None)
def test_the_checksum_is_the_librarys(content: bytes) -> None:
    if not content:
        assert packing.fletcher32(content) == 0
        return
    with h5py.File(io.BytesIO(), "w") as file:
        data = file.create_dataset("x", data=np.frombuffer(content, "u1"), chunks=(len(content),), fletcher32=True)
        file.flush()
        ((_, _, raw),) = stored(data)
    assert raw == content + packing.fletcher32(content).to_bytes(4, "little")


def indices(length: int) -> st.SearchStrategy[Any]:
    edges = st.integers(0, length) | st.none()
    return st.integers(0, length - 1) | st.builds(slice, edges, edges) | st.just(slice(None))


@given(st.lists(st.tuples(*map(indices, SHAPE)) | st.tuples(*map(indices, SHAPE[:1])), min_size=1, max_size=6))
@settings(max_examples=80, deadline=None)
def test_any_part_that_is_written_is_what_an_array_would_hold(places: list[tuple[Any, ...]]) -> None:
    """Whole chunks or parts of them, one after the other in any order, as HDF5's own cache of chunks has it."""
    with h5py.File(io.BytesIO(), "w") as file:
        data = group(file).create_empty("x", SHAPE, "f4", np.nan, chunks=CHUNKS, **PACKED)
        wanted = np.full(SHAPE, np.nan, "f4")
        for number, place in enumerate(places):
            values = np.random.default_rng(number).normal(size=wanted[place].shape)
            data[place] = values
            wanted[place] = values
            assert np.array_equal(file["x"][...], wanted, equal_nan=True)
        file.flush()
        file["x"].id.refresh()
        assert np.array_equal(file["x"][...], wanted, equal_nan=True)


def test_whole_chunks_are_packed_here_and_the_rest_by_the_library(file: h5py.File) -> None:
    data = file.create_dataset("x", SHAPE, "f4", fillvalue=np.nan, chunks=CHUNKS, fletcher32=True, **PACKED)
    one = np.ones((2, 3, 20))
    assert packing.write(data, (slice(0, 2), slice(None), slice(20, 40)), one)
    assert packing.write(data, (slice(4, None), slice(None), slice(40, None)), 2.0)
    assert len(stored(data)) == 2
    assert float(data[4, 0, 46]) == 2.0
    for part in (0, (slice(0, 2), 1), (slice(0, 2), slice(None), slice(20, 39)), (slice(0, 4, 2),), [0, 1], -1):
        assert not packing.write(data, part, 3.0), part
    assert not packing.write(data, (), np.ones(4)), "no such shape"
    assert not packing.write(data, (), np.full(SHAPE, "1")), "a text is no number"
    assert not packing.write(file.create_dataset("raw", SHAPE, "f4", chunks=CHUNKS), (), 1.0)
    other = file.create_dataset("gzip", SHAPE, "f4", chunks=CHUNKS, compression="gzip", fletcher32=True)
    assert not packing.write(other, (), 1.0), "without shuffle"
    assert len(stored(data)) == 2


def test_a_later_value_replaces_one_that_the_library_has_in_memory(file: h5py.File) -> None:
    data = group(file).create_empty("x", (4, 20), "f4", np.nan, chunks=(2, 20), **PACKED)
    data[0] = np.ones(20)
    data[0:2] = np.full((2, 20), 5.0)
    file.flush()
    assert np.all(file["x"][:2] == 5.0)
    data[1] = np.full(20, 7.0)
    assert np.array_equal(data[:2, 3], [5.0, 7.0])


@pytest.mark.parametrize("make", [counts, noise])
def test_a_changed_byte_of_a_packed_chunk_is_found(file: h5py.File, make: Any) -> None:
    """That of noise by its checksum alone."""
    group(file).create_data("x", make((1, 4000)), chunks=(1, 4000), **PACKED)
    ((place, mask, raw),) = stored(file["x"])
    changed = bytearray(raw)
    changed[len(raw) // 2] ^= 4
    file["x"].id.write_direct_chunk(place, bytes(changed), mask)
    with pytest.raises(OSError, match="filter returned failure"):
        file["x"][...]


SHORT = np.zeros(8, "u1").tobytes()


def checked(content: bytes) -> bytes:
    return content + packing.fletcher32(content).to_bytes(4, "little")


@pytest.mark.parametrize(
    ("content", "mask", "message"),
    [
        (b"abc", 0b011, "checksum of a chunk differs"),
        (SHORT, 0b111, "8 bytes; 4000000 are needed"),
        (checked(SHORT), 0b010, "8 bytes; 4000000 are needed"),
        (checked(zlib.compress(bytes(400))), 0, "400 bytes; 4000000 are needed"),
        (checked(zlib.compress(bytes(5_000_000))), 0, "cannot be decompressed to its size"),
        (checked(zlib.compress(bytes(4_000_000)))[:-1] + b"x", 0, "checksum of a chunk differs"),
        (bytes(5_000_000), 0b111, "chunk of 4000000 bytes is stored in 5000000"),
    ],
)
def test_a_chunk_of_another_size_is_refused_and_never_read_beyond_its_end(
    file: h5py.File, content: bytes, mask: int, message: str
) -> None:
    """HDF5 itself ends with a segmentation fault at the short ones."""
    data = group(file).create_empty("x", (2, 1_000_000), "f4", 0.0, chunks=(1, 1_000_000), **PACKED)
    file["x"].id.write_direct_chunk((1, 0), content, mask)
    assert not data[0].any()
    with pytest.raises(BadInput, match=message):
        data[1]
    with pytest.raises(BadInput, match=message):
        data[:]


@pytest.mark.parametrize("level", [0, 1, 9])
@pytest.mark.parametrize("filters", [(), ("shuffle",), ("fletcher32",), ("shuffle", "fletcher32")])
def test_what_other_programs_wrote_is_read_as_the_library_reads_it(
    file: h5py.File, level: int, filters: tuple[str, ...]
) -> None:
    for make in (counts, noise):
        storage = dict.fromkeys(filters, True) | ({"compression": "gzip", "compression_opts": level})
        theirs = file.create_dataset(f"x{make.__name__}", data=make(SHAPE, ">i4"), chunks=CHUNKS, **storage)
        file.flush()
        found = packing.read(theirs, ())
        assert found is not None
        assert found.tobytes() == theirs[...].tobytes()
        assert group(file).data(f"x{make.__name__}")[:].dtype == theirs.dtype


def test_filters_in_another_order_are_undone_in_theirs(file: h5py.File) -> None:
    """As netCDF has them: the checksum within what is compressed."""
    values = counts((3, 1000))
    made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    made.set_chunk((1, 1000))
    made.set_shuffle()
    made.set_fletcher32()
    made.set_deflate(5)
    where = h5py.h5d.create(file.id, b"x", h5py.h5t.STD_I32LE, h5py.h5s.create_simple(values.shape), made)
    theirs = h5py.Dataset(where)
    theirs[...] = values
    file.flush()
    assert np.array_equal(group(file).data("x")[:], values)
    chunks = stored(theirs)
    assert len(zlib.decompress(chunks[0][2])) == 4004


@given(st.tuples(*map(indices, SHAPE)) | st.tuples(*map(indices, SHAPE[:1])) | st.just(()) | st.just([0, 3]))
@settings(max_examples=80, deadline=None)
def test_any_part_is_read_as_the_library_reads_it(index: Any) -> None:
    with h5py.File(io.BytesIO(), "w") as file:
        data = group(file).create_empty("x", SHAPE, "f4", 3.0, chunks=CHUNKS, **PACKED)
        data[1:3] = np.random.default_rng(0).normal(size=(2, *SHAPE[1:]))
        file.flush()
        assert np.array_equal(data[index], file["x"][index])
        assert data[index].shape == file["x"][index].shape


def test_tables_texts_and_truths_are_read_as_the_library_reads_them(file: h5py.File) -> None:
    table = np.array([(1.5, 2, b"ab"), (2.5, 3, b"c")], dtype=[("x", "f8"), ("n", "i2"), ("use", "S3")])
    for name, values in {"table": table, "texts": ["größer", "b"], "truths": np.array([True, False])}.items():
        data = group(file).create_data(name, values)
        file.flush()
        assert data[:].dtype == file[name].dtype
        assert data[:].tobytes() == file[name][...].tobytes()
    assert group(file).data("texts").texts() == ("größer", "b")
    file.create_dataset("free", data=["größer", "b"], dtype=h5py.string_dtype(), chunks=(1,))
    assert group(file).data("free").texts() == ("größer", "b")


def test_a_file_of_another_program_with_a_short_chunk_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "theirs.sofa"
    with h5py.File(path, "w") as made:
        data = made.create_dataset("ir", (1, 1_000_000), "f8", chunks=(1, 1_000_000), **PACKED)
        data.id.write_direct_chunk((0, 0), zlib.compress(bytes(100)))
    with foreign(path, "get another") as root, pytest.raises(BadInput, match="/ir: a chunk has 100 bytes; 8000000"):
        root.data("ir")[:]


@pytest.mark.parametrize("dtype", ["<f4", "i4", "i2", "u2", "f8", "i8"])
def test_a_sealed_files_chunks_are_read_as_the_library_reads_them(dtype: str, tmp_path: Path) -> None:
    """Chunks over two axes, of which no two are alike."""
    values = counts((6, 4, 3, 6000), dtype)
    with h5py.File(tmp_path / "x.h5", "w", userblock_size=512) as file:
        group(file).create_data("x", values, chunks=(1, 2, 1, 6000), **PACKED)
    with h5py.File(tmp_path / "x.h5", "r") as file:
        found = packing.read_sealed(file["x"])
        assert found is not None
        assert (found.dtype, found.shape, found.tobytes()) == (values.dtype, values.shape, file["x"][...].tobytes())
        whole = Group(file, tmp_path / "x.h5", True, "make it again").data("x")
        assert np.array_equal(whole[:], values)


def test_what_is_not_read_past_the_library(tmp_path: Path) -> None:
    shape, chunks = (8, 20_000), (2, 20_000)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        made = group(file)
        made.create_data("good", counts(shape), chunks=chunks, **PACKED)
        made.create_data("edge", counts((7, 20_000)), chunks=chunks, **PACKED)
        made.create_data("small", counts((8, 2000)), chunks=(2, 2000), **PACKED)
        made.create_data("noise", noise(shape), chunks=chunks, **PACKED)
        made.create_data("complex", counts(shape, "c8"), chunks=chunks, **PACKED)
        made.create_data("turned", counts(shape, ">f4"), chunks=chunks, **PACKED)
        made.create_data("plain", counts(shape), in_one_piece=True)
        file.create_dataset("gzip", data=counts(shape), chunks=chunks, compression="gzip", fletcher32=True)
        made.create_empty("part", shape, "i4", 0, chunks=chunks, **PACKED)[2:] = counts((6, 20_000))
        assert packing.read_sealed(file["good"]) is None, "its chunks may not be in the file yet"
        cut = made.create_empty("cut", shape, "i4", 0, chunks=chunks, **PACKED)
        cut[:] = counts(shape)
        packed, mask = packing.pack(counts((2, 19_000)), 6)
        file["cut"].id.write_direct_chunk((4, 0), bytes(packed), mask)
    with h5py.File(tmp_path / "x.h5", "r") as file:
        assert np.array_equal(packing.read_sealed(file["good"]), counts(shape))
        for name in ("edge", "small", "noise", "complex", "turned", "plain", "gzip", "part"):
            assert packing.read_sealed(file[name]) is None, name
        with pytest.raises(ValueError, match="bytes"):
            packing.read_sealed(file["cut"])
        sealed = Group(file, tmp_path / "x.h5", True, "make it again")
        assert np.array_equal(sealed.data("part")[:][2:], counts((6, 20_000)))
