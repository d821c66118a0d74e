"""The whole processor in C: library, plug-in, and the blob of a unit that they load."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweetspot.processor.export.library import c_library as c_library
    from sweetspot.processor.export.library import lv2 as lv2
    from sweetspot.processor.export.library.blob import unit_blob as unit_blob
else:
    from sweetspot.rigs.faces import lazy

    __getattr__ = lazy(__name__)
