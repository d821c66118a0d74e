"""Exported filters run by their engines: on a file, compared with the built-in engine, and live."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweetspot.processor.export.running import engine_check as engine_check
    from sweetspot.processor.export.running import live as live
    from sweetspot.processor.export.running.engine_check import LIMIT_DB as LIMIT_DB
    from sweetspot.processor.export.running.engine_check import EngineComparison as EngineComparison
    from sweetspot.processor.export.running.engine_check import check as check
else:
    from sweetspot.rigs.faces import lazy

    __getattr__ = lazy(__name__)
