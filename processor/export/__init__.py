"""Exports of the fitted filters for other engines."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweetspot.processor.export import brutefir as brutefir
    from sweetspot.processor.export import c_library as c_library
    from sweetspot.processor.export import pipewire as pipewire
    from sweetspot.processor.export.banks import HOLD_ALL as HOLD_ALL
    from sweetspot.processor.export.banks import whole_bundle as whole_bundle
    from sweetspot.processor.export.engines import ENGINES as ENGINES
    from sweetspot.processor.export.engines import bundle as bundle
    from sweetspot.processor.export.library import Places as Places
    from sweetspot.processor.export.options import LINEAR_SHARE as LINEAR_SHARE
    from sweetspot.processor.export.options import STABLE_DEG as STABLE_DEG
    from sweetspot.processor.export.options import FormRow as FormRow
    from sweetspot.processor.export.options import Options as Options
    from sweetspot.processor.export.options import forms_table as forms_table
    from sweetspot.processor.export.options import linear as linear
    from sweetspot.processor.export.options import unused as unused
    from sweetspot.processor.export.unguarded import UNGUARDED as UNGUARDED
    from sweetspot.processor.export.unguarded import without_guard as without_guard
else:
    from sweetspot.rigs.faces import lazy

    __getattr__ = lazy(__name__)
