"""The whole processor in C: its sources, and a unit's blob for them."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweetspot.processor.export.library.blob import Places as Places
    from sweetspot.processor.export.library.blob import unit_blob as unit_blob
    from sweetspot.processor.export.library.compare import blob_differences as blob_differences
    from sweetspot.processor.export.library.sources import source_files as source_files
else:
    from sweetspot.rigs.faces import lazy

    __getattr__ = lazy(__name__)
