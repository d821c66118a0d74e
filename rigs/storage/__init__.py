"""Durable files: atomic writes, one writer at a time, checksums, and the only door to HDF5."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweetspot.rigs.storage.atomic import append as append
    from sweetspot.rigs.storage.atomic import begin_to_disk as begin_to_disk
    from sweetspot.rigs.storage.atomic import cause as cause
    from sweetspot.rigs.storage.atomic import check_place as check_place
    from sweetspot.rigs.storage.atomic import discard as discard
    from sweetspot.rigs.storage.atomic import keep_aside as keep_aside
    from sweetspot.rigs.storage.atomic import move as move
    from sweetspot.rigs.storage.atomic import replacing as replacing
    from sweetspot.rigs.storage.atomic import write as write
    from sweetspot.rigs.storage.hdf5 import File as File
    from sweetspot.rigs.storage.hdf5 import Kind as Kind
    from sweetspot.rigs.storage.hdf5 import built as built
    from sweetspot.rigs.storage.hdf5 import foreign as foreign
    from sweetspot.rigs.storage.hdf5 import names_in as names_in
    from sweetspot.rigs.storage.hdf5 import root_text as root_text
    from sweetspot.rigs.storage.hdf5 import unit_in as unit_in
    from sweetspot.rigs.storage.kept import Kept as Kept
    from sweetspot.rigs.storage.kept import kept_array as kept_array
    from sweetspot.rigs.storage.kept_data import check_apart as check_apart
    from sweetspot.rigs.storage.lock import APPEND_S as APPEND_S
    from sweetspot.rigs.storage.lock import alone as alone
    from sweetspot.rigs.storage.lock import alone_in as alone_in
    from sweetspot.rigs.storage.objects import Attributes as Attributes
    from sweetspot.rigs.storage.objects import Data as Data
    from sweetspot.rigs.storage.objects import Group as Group
    from sweetspot.rigs.storage.parsing import as_stored as as_stored
    from sweetspot.rigs.storage.parsing import json_value as json_value
    from sweetspot.rigs.storage.parsing import toml_table as toml_table
    from sweetspot.rigs.storage.seal import file_sha256 as file_sha256
    from sweetspot.rigs.storage.seal import hash_ahead as hash_ahead
    from sweetspot.rigs.storage.seal import is_newer as is_newer
    from sweetspot.rigs.storage.seal import stated as stated
    from sweetspot.rigs.storage.sofa_writer import sofa_library as sofa_library
    from sweetspot.rigs.storage.wav_clock import without_clock as without_clock
    from sweetspot.rigs.storage.wave_header import broken_off as broken_off
    from sweetspot.rigs.storage.wave_header import mended_wave as mended_wave
else:
    from sweetspot.rigs.faces import lazy

    __getattr__ = lazy(__name__)
