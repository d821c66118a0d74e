"""A bank for engines that switch configurations: one folder of files per place, and an index."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from sweetspot.processor.bank import FilterBank
from sweetspot.processor.export import brutefir
from sweetspot.processor.export.bundles import Bundle
from sweetspot.processor.export.engines import bundle
from sweetspot.processor.export.library import Places
from sweetspot.processor.export.options import Options

INDEX = "index.json"

HOLD_ALL = ("c", "lv2", "pipewire")
"""Processors that hold all places and change between them by themselves: one folder for the whole bank."""

SWITCH = {
    "c": "sweetspot_set_listener(processor, x, y, yaw, 0.03) between two blocks: the nearest place takes over by a "
    "crossfade",
    "lv2": "the controls listener_x, listener_y and listener_turned: the nearest place takes over by a crossfade",
    "pipewire": "the plug-in's controls: pw-cli set-param sweetspot Props "
    '\'{ params = [ "sweetspot:listener_x" 2.0 "sweetspot:listener_y" 0.3 ] }\'; the nearest place takes over by a '
    "crossfade",
    "camilladsp": "start it with `camilladsp -p 1234 FOLDER/CONFIG`; over the websocket on that port send "
    '{"SetConfigFilePath": "FOLDER/CONFIG"} and then "Reload": its filters are exchanged, without a crossfade',
    "jconvolver": "run one engine a place and connect the program to one of them, or restart it with the next",
    "brutefir": f"start it with `brutefir -nodefault {brutefir.BANK}`, which holds all places; send the line of "
    f"FOLDER.cli to its CLI at TCP port {brutefir.PORT}, for example `nc -N 127.0.0.1 {brutefir.PORT} < "
    "place-002.cli`: all filters are exchanged in one block, by a crossfade",
}
"""How an engine changes to another place; engines without a line load the files of one place when they start."""

OTHERWISE = "load the files of the place where the listener is; this engine does not change them while it runs"


def folder_of(place: int) -> str:
    """Name of a place's folder."""
    return f"place-{place + 1:03d}"


def whole_bundle(bank: FilterBank, engine: str, options: Options) -> Bundle:
    """The files of one processor that holds all places; see :data:`HOLD_ALL`."""
    places = Places(bank.places, bank.taps, bank.default, bank.nearest_m)
    return bundle(bank.at(bank.default), engine, replace(options, places=places))


def bank_bundles(bank: FilterBank, engine: str, options: Options) -> Iterator[tuple[str, Bundle]]:
    """Folder and files of every place."""
    for place in range(len(bank.places)):
        yield folder_of(place), bundle(bank.at(place), engine, options)


def bank_switching(bank: FilterBank, engine: str, options: Options) -> dict[str, bytes]:
    """Files beside the folders of the places with which a running engine changes between them, if it can."""
    if engine != "brutefir":
        return {}
    every = range(len(bank.places))
    return brutefir.bank([bank.at(i) for i in every], [folder_of(i) for i in every], bank.default, options)


def bank_index(bank: FilterBank, engine: str, made: dict[str, list[str]]) -> bytes:
    """The index as JSON.

    Parameters
    ----------
    made
        Names of the files in each folder; ``"."`` where one folder is for all places.
    """
    rows = [
        {
            "x": round(float(x), 4),
            "y": round(float(y), 4),
            "yaw_deg": round(float(np.degrees(yaw)), 3),
            "folder": "." if "." in made else folder_of(i),
            "files": made["." if "." in made else folder_of(i)],
        }
        for i, (x, y, yaw) in enumerate(bank.places)
    ]
    whole = {
        "schema": "sweetspot-bank-index",
        "schema_version": 1,
        "engine": engine,
        "unit": bank.home.unit_serial,
        "fs": bank.home.fs,
        "session_sha256": bank.home.source,
        "coordinates": "m from the middle of the device: x ahead, y to its left; yaw of the head, counter-clockwise",
        "default": bank.default,
        "switch": SWITCH.get(engine, OTHERWISE),
        "places": rows,
    }
    return (json.dumps(whole, indent=1) + "\n").encode()
