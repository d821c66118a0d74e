"""The page's templates, compiled by any process: it takes as long as half of the pictures."""

from __future__ import annotations

from jinja2 import BytecodeCache, Environment, PackageLoader, StrictUndefined, Template
from jinja2.bccache import Bucket

NAMES = ("page.html.j2", "figures.html.j2", "page.css", "page_script.html.j2")
"""The page, and what it includes."""


class Compiled(BytecodeCache):
    """Templates in the form that can be sent to another process, by Jinja's key."""

    def __init__(self, kept: dict[str, bytes]) -> None:
        self.kept = kept

    def load_bytecode(self, bucket: Bucket) -> None:
        """Take a template that is there."""
        if bucket.key in self.kept:
            bucket.bytecode_from_string(self.kept[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep a template that was compiled."""
        self.kept[bucket.key] = bucket.bytecode_to_string()


def compiled() -> dict[str, bytes]:
    """Compile all of :data:`NAMES`, for :func:`page` in another process."""
    kept = Compiled({})
    for name in NAMES:
        _environment(kept).get_template(name)
    return kept.kept


def page(kept: dict[str, bytes], name: str = NAMES[0]) -> Template:
    """A page's template; what is not :func:`compiled` is compiled now."""
    return _environment(Compiled(kept)).get_template(name)


def _environment(kept: Compiled) -> Environment:
    return Environment(
        loader=PackageLoader("sweetspot.calibrate.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        bytecode_cache=kept,
    )
