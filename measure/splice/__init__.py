"""Splices of partly disturbed captures: weights, origin of the parts, resulting standard error."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweetspot.measure.splice.disturbed import Disturbed as Disturbed
    from sweetspot.measure.splice.disturbed import SplicedCapture as SplicedCapture
    from sweetspot.measure.splice.disturbed import of_disturbed as of_disturbed
    from sweetspot.measure.splice.note import Part as Part
    from sweetspot.measure.splice.note import SpliceNote as SpliceNote
else:
    from sweetspot.rigs.faces import lazy

    __getattr__ = lazy(__name__)
