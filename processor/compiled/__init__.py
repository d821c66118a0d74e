"""The compiled filter matrix and centre extraction: vector code for this machine, made at first use."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweetspot.processor.compiled.centre_kernel import CompiledCentre as CompiledCentre
    from sweetspot.processor.compiled.loops import ahead as ahead
    from sweetspot.processor.compiled.loops import jitted as jitted
    from sweetspot.processor.compiled.loops import kept as kept
    from sweetspot.processor.compiled.loops import loop as loop
    from sweetspot.processor.compiled.loops import record as record
    from sweetspot.processor.compiled.machine_code import loops_code as loops_code
    from sweetspot.processor.compiled.matrix import CompiledMatrix as CompiledMatrix
    from sweetspot.processor.compiled.matrix import Level as Level
    from sweetspot.processor.compiled.matrix import ratio_for as ratio_for
    from sweetspot.processor.compiled.matrix_kernel import NUMBERS as NUMBERS
    from sweetspot.processor.compiled.matrix_kernel import POINTERS as POINTERS
else:
    from sweetspot.rigs.faces import lazy

    __getattr__ = lazy(__name__)
