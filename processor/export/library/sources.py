"""Access to the C sources, which are package data."""

from __future__ import annotations

from importlib.resources import files


def source_files(*names: str) -> dict[str, bytes]:
    """Files of the library by their last name, as they lie in the package."""
    root = files("sweetspot.processor.export.library") / "c"
    return {name.rpartition("/")[2]: root.joinpath(*name.split("/")).read_bytes() for name in names}
