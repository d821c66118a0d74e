"""Groups, data sets and attributes of HDF5 files: checked when read, with faults named by their location."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from sweetspot.rigs.errors import BadInput
from sweetspot.rigs.storage import packing
from sweetspot.rigs.storage.structure import DataCheck
from sweetspot.rigs.storage.translation import guarded

DIGEST = "sha256"
"""Attribute of a data set: SHA-256 of its values, C order, little endian."""

SMALL = 1 << 20
"""Bytes up to which a data set is one chunk; also the largest attribute that is read."""


class Attributes:
    """Attributes of a group or data set; each is checked when it is read."""

    def __init__(self, owner: Any, path: Path, name: str, remedy: str) -> None:
        self._owner, self.path, self.name, self._remedy = owner, path, name, remedy

    def __contains__(self, name: str) -> bool:
        with guarded(self.path, self.name):
            return bool(h5py.h5a.exists(self._owner.id, name.encode()))

    def __iter__(self) -> Iterator[str]:
        with guarded(self.path, self.name):
            return iter(sorted(self._owner.attrs))

    def __getitem__(self, name: str) -> Any:
        """The value as a Python scalar, text, list of texts or array.

        Raises
        ------
        BadInput
            It is missing, too large to be one, or no text where it should be.
        """
        if name not in self:
            held = ", ".join(n for n in self if n != DIGEST) or "none"
            raise BadInput(f"{self.path}: attribute {name} of {self.name} is missing (there: {held}); {self._remedy}")
        with guarded(self.path, f"attribute {name} of {self.name}"):
            return _value(h5py.h5a.open(self._owner.id, name.encode()))

    def get(self, name: str, default: Any = None) -> Any:
        """The value, or ``default`` where there is none."""
        if name not in self:
            return default
        return self[name]

    def items(self) -> dict[str, Any]:
        """All of them, without the digest."""
        return {name: self[name] for name in self if name != DIGEST}

    def number(self, name: str, low: float, high: float) -> float:
        """A finite number within limits.

        Raises
        ------
        BadInput
            Shows the value and the limits.
        """
        value = self[name]
        if isinstance(value, bool | str) or not isinstance(value, int | float) or not low <= value <= high:
            self._refuse(name, value, f"a number from {low:g} to {high:g}")
        return float(value)

    def integer(self, name: str, low: int, high: int) -> int:
        """A whole number within limits; see :meth:`number`."""
        value = self.number(name, low, high)
        if value != int(value):
            self._refuse(name, value, "a whole number")
        return int(value)

    def text(self, name: str, longest: int = 4096) -> str:
        """A text; see :meth:`number`."""
        value = self[name]
        if not isinstance(value, str) or len(value) > longest:
            self._refuse(name, value, f"a text of at most {longest} characters")
        return str(value)

    def texts(self, name: str) -> tuple[str, ...]:
        """Several texts; see :meth:`number`."""
        value = self[name]
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            self._refuse(name, value, "a list of strings")
        return tuple(value)

    def update(self, **values: Any) -> None:
        """Set some."""
        with guarded(self.path, self.name):
            for name, value in values.items():
                _set(self._owner.id, name, value)

    def __setitem__(self, name: str, value: Any) -> None:
        self.update(**{name: value})

    def _refuse(self, name: str, value: Any, wanted: str) -> None:
        shown = repr(value)[:80]
        raise BadInput(f"{self.path}: {name} of {self.name} is {shown}; {wanted} is needed. {self._remedy}")


class Data:
    """A data set."""

    def __init__(self, data: Any, path: Path, name: str, trusted: bool, remedy: str) -> None:
        """``name`` is its path in the file: HDF5 looks through the whole file for that of one without links."""
        self._data, self.path, self.name, self._trusted, self._remedy = data, path, name, trusted, remedy
        self.attrs = Attributes(data, path, self.name, remedy)

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        with guarded(self.path, self.name):
            return tuple(self._data.shape)

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """Shape of a chunk; ``None`` where it has none."""
        with guarded(self.path, self.name):
            return self._data.chunks  # type: ignore[no-any-return]

    @property
    def is_text(self) -> bool:
        """Whether its elements are texts."""
        with guarded(self.path, self.name):
            return h5py.check_string_dtype(self._data.dtype) is not None or self._data.dtype.kind == "S"

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Values; those of a file without checksum of its own are compared with the data set's, and their chunks are
        checked: HDF5 reads beyond the end of a short one."""
        whole = (isinstance(index, tuple) and index == ()) or (isinstance(index, slice) and index == slice(None))
        if not self._trusted and not whole and DIGEST in self.attrs:
            return np.asarray(self[:][index])
        with guarded(self.path, self.name):
            if self._trusted:
                found = packing.read_sealed(self._data) if whole else None
            else:
                found = packing.read(self._data, () if whole else index)
            if found is None:
                found = np.asarray(self._data[...] if whole else self._data[index])
        if whole and not self._trusted and not self.is_intact(found):
            raise BadInput(f"{self.path}: {self.name}: its values are not those that were written. {self._remedy}")
        return found

    def __setitem__(self, index: Any, value: Any) -> None:
        with guarded(self.path, self.name):
            if DIGEST in self._data.attrs:
                del self._data.attrs[DIGEST]
            if not packing.write(self._data, index, value):
                self._data[index] = value

    def join(self, group: Any, name: str) -> None:
        """Become a member of a group of the same file."""
        group[name] = self._data

    def texts(self) -> tuple[str, ...]:
        """All elements as texts; a scalar is one.

        Raises
        ------
        BadInput
            It holds something else, or bytes that are no UTF-8.
        """
        found = np.ravel(self[:])
        with guarded(self.path, self.name):
            return tuple(_text(v) for v in found)

    def is_intact(self, values: NDArray[Any] | None = None) -> bool:
        """Whether its values are those that were written; true where no digest is kept."""
        kept = self.attrs.get(DIGEST)
        return kept is None or kept == digest(self[:] if values is None else values)

    @property
    def is_stamped(self) -> bool:
        """Whether its digest is kept: it was written by a program that closed the file."""
        return self._trusted or DIGEST in self.attrs

    def stamp(self, values: NDArray[Any] | None = None) -> None:
        """Keep the digest of its values, unless it is there."""
        if DIGEST not in self.attrs:
            self.attrs[DIGEST] = digest(self[:] if values is None else values)


class Group:
    """A group, the root of a file included."""

    def __init__(self, group: Any, path: Path, trusted: bool, remedy: str, *, check: DataCheck | None = None) -> None:
        self._group, self.path, self._trusted, self._remedy, self._check = group, path, trusted, remedy, check
        self.name = str(group.name)
        self.attrs = Attributes(group, path, self.name, remedy)

    def __contains__(self, name: str) -> bool:
        with guarded(self.path, self.name):
            return name in self._group

    def __iter__(self) -> Iterator[str]:
        with guarded(self.path, self.name):
            return iter(list(self._group))

    def __delitem__(self, name: str) -> None:
        with guarded(self.path, f"{self.name}/{name}"):
            del self._group[name]

    def __getitem__(self, name: str) -> Group | Data:
        """A member of either kind; see :meth:`group` and :meth:`data`."""
        return self.group(name) if self.is_group(name) else self.data(name)

    def group(self, name: str) -> Group:
        """A group of it.

        Raises
        ------
        BadInput
            It is missing, or no group.
        """
        found = self._member(name)
        if not isinstance(found, h5py.Group):
            raise BadInput(f"{self.path}: {self._named(name)} is not a group; {self._remedy}")
        return Group(found, self.path, self._trusted, self._remedy, check=self._check)

    def data(self, name: str) -> Data:
        """A data set of it.

        Raises
        ------
        BadInput
            It is missing, or no data set.
        """
        found = self._member(name)
        if not isinstance(found, h5py.Dataset):
            raise BadInput(f"{self.path}: {self._named(name)} is not a data set; {self._remedy}")
        if self._check is not None:
            with guarded(self.path, self._named(name)):
                self._check(found.id, self._named(name))
        return Data(found, self.path, self._named(name), self._trusted, self._remedy)

    def members_with(self, attribute: str) -> Iterator[tuple[str, Any]]:
        """Names of members that have an attribute, and its value: a third of the time of opening each as an object."""
        key = attribute.encode()
        for name in self:
            with guarded(self.path, f"attribute {attribute} of {self._named(name)}"):
                if not h5py.h5a.exists(self._group.id, key, obj_name=name.encode()):
                    continue
                found = _value(h5py.h5a.open(self._group.id, key, obj_name=name.encode()))
            yield name, found

    def is_group(self, name: str) -> bool:
        """Whether a member is a group."""
        return isinstance(self._member(name), h5py.Group)

    def _member(self, name: str) -> Any:
        if name not in self:
            held = ", ".join(sorted(self)) or "nothing"
            raise BadInput(
                f"{self.path}: {self._named(name)} is missing (it holds {held}); the file is incomplete: {self._remedy}"
            )
        with guarded(self.path, self._named(name)):
            return self._group[name]

    def _named(self, name: str) -> str:
        return f"{self.name.rstrip('/')}/{name}"

    def create_group(self, name: str) -> Group:
        """A new group."""
        with guarded(self.path, self._named(name)):
            made = self._group.create_group(name)
            return Group(made, self.path, self._trusted, self._remedy, check=self._check)

    def create_data(
        self, name: str | None, values: Any, *, stamp: bool = True, in_one_piece: bool = False, **storage: Any
    ) -> Data:
        """A new data set in chunks with Fletcher-32 checksums, and the SHA-256 of its values.

        Parameters
        ----------
        name
            ``None`` keeps it out of the group until :meth:`link`: a program killed while it is flushed leaves the group
            as it was.
        values
            An array, or texts (one or several), kept as UTF-8 of one length; a scalar has shape ``(1,)``.
        stamp
            Whether the digest is kept now.
        in_one_piece
            Keep the values one after the other at one place of the file, where other tools can address them: without
            chunks, and guarded by the SHA-256 alone.
        storage
            ``compression``, ``shuffle`` and the like, as h5py takes them.
        """
        array = _storable(values)
        layout = {} if in_one_piece and array.size else _chunked(array, storage)
        content = None if "compression" in layout else array
        where = self._named(name or "a new data set")
        with guarded(self.path, where):
            made = self._group.create_dataset(name, array.shape, array.dtype, content, track_times=False, **layout)
        data = Data(made, self.path, where, self._trusted, self._remedy)
        if content is None:
            data[...] = array
        if stamp:
            data.stamp(array)
        return data

    def link(self, name: str, data: Data) -> None:
        """Give a data set that was created without a name its name in this group; one of that name is replaced."""
        with guarded(self.path, self._named(name)):
            if name in self._group:
                del self._group[name]
            data.join(self._group, name)

    def create_empty(self, name: str, shape: tuple[int, ...], dtype: str, fill: float, **storage: Any) -> Data:
        """A new data set to be filled later: every value is ``fill`` until then."""
        with guarded(self.path, self._named(name)):
            storage = {"chunks": shape, "fletcher32": True, **storage}
            made = self._group.create_dataset(name, shape, dtype=dtype, fillvalue=fill, track_times=False, **storage)
        return Data(made, self.path, self._named(name), self._trusted, self._remedy)

    def flush(self) -> None:
        """Bring everything to the disk."""
        with guarded(self.path, self.name):
            self._group.file.flush()

    def stamp_all(self) -> None:
        """Digests of all data sets that have none; others are not opened, a tenth of the time."""
        key = DIGEST.encode()
        for name in self:
            with guarded(self.path, self._named(name)):
                if h5py.h5a.exists(self._group.id, key, obj_name=name.encode()):
                    continue
            member = self[name]
            member.stamp_all() if isinstance(member, Group) else member.stamp()

    def every(self) -> Iterator[Data]:
        """All data sets in it, also those of groups in it."""
        for name in self:
            if self.is_group(name):
                yield from self.group(name).every()
            else:
                yield self.data(name)


def digest(values: NDArray[Any]) -> str:
    """SHA-256 of type and values, hexadecimal; the same for any storage of them."""
    array = np.ascontiguousarray(values)
    array = array.astype(array.dtype.newbyteorder("<"), copy=False)
    made = hashlib.sha256(f"{array.dtype.str} {array.shape}".encode())
    made.update("\0".join(map(str, map(_text, np.ravel(array)))).encode() if array.dtype.kind == "O" else array.data)
    return made.hexdigest()


TEXT = h5py.string_dtype()
"""Type of texts among attributes."""


def _set(owner: Any, name: str, value: Any) -> None:
    """Set an attribute of an object, given by its identifier: the bytes of h5py's mapping of attributes in half the
    time."""
    texts = value if isinstance(value, list | tuple) else (value,)
    is_text = len(texts) > 0 and all(isinstance(text, str) for text in texts)
    array = np.asarray(value, dtype=TEXT if is_text else None, order="C")
    stored, read = _types(array.dtype, is_text)
    key = name.encode()
    if h5py.h5a.exists(owner, key):
        h5py.h5a.delete(owner, key)
    h5py.h5a.create(owner, key, stored, _space(array.shape)).write(array, mtype=read)


@lru_cache(maxsize=64)
def _types(kind: np.dtype[Any], _is_text: bool) -> tuple[Any, Any]:
    """The library's types of attributes, as stored and in memory; NumPy's of texts equals that of any object."""
    return h5py.h5t.py_create(kind, logical=True), h5py.h5t.py_create(kind)


@lru_cache(maxsize=64)
def _space(shape: tuple[int, ...]) -> Any:
    """The library's description of a shape."""
    return h5py.h5s.create_simple(shape)


def _value(attribute: Any) -> Any:
    """An open attribute's value in Python's own types: half of the time of h5py's mapping of attributes."""
    _check_size(attribute)
    if attribute.get_space().get_simple_extent_type() == h5py.h5s.NULL:
        return _decoded(h5py.Empty(attribute.dtype))
    value = np.empty(attribute.shape, dtype=attribute.dtype)
    attribute.read(value)
    return _decoded(value[()])


def _check_size(attribute: Any) -> None:
    """Refuse an attribute that is too large to be one."""
    if attribute.get_storage_size() > SMALL:
        raise ValueError(f"{attribute.get_storage_size()} bytes are too many for an attribute")


def _decoded(value: Any) -> Any:
    """An attribute's value in Python's own types."""
    if isinstance(value, h5py.Empty):
        raise ValueError("holds nothing")
    if isinstance(value, str | bytes):
        return _text(value)
    array = np.asarray(value)
    if array.dtype.kind in "OSU":
        texts = [_text(v) for v in np.ravel(array)]
        return texts if array.ndim else texts[0]
    return array if array.ndim else array.item()


def _text(value: Any) -> str:
    """Text from the library's value; invalid UTF-8 is an error."""
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if isinstance(value, str):
        value.encode("utf-8")
        return str(value)
    raise ValueError(f"is of type {type(value).__name__}, not a string")


def _storable(values: Any) -> NDArray[Any]:
    array = np.atleast_1d(np.asarray(values))
    if array.dtype.kind not in "OU":
        return array
    texts = [str(v).encode() for v in np.ravel(array)]
    made = np.array(texts, dtype=h5py.string_dtype("utf-8", max([1, *map(len, texts)])))
    return made.reshape(array.shape)


def _chunked(array: NDArray[Any], storage: dict[str, Any]) -> dict[str, Any]:
    if array.size == 0:
        return {"chunks": tuple(max(n, 1) for n in array.shape), "maxshape": (None,) * array.ndim, "fletcher32": True}
    return {"chunks": array.shape if array.nbytes <= SMALL else True, "fletcher32": True, **storage}
