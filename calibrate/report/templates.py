"""The page's templates; their compiled form is kept on disk, as compiling takes as long as four pictures."""

from __future__ import annotations

import sys
from pathlib import Path

import jinja2
from jinja2 import BytecodeCache, Environment, PackageLoader, StrictUndefined, Template
from jinja2.bccache import Bucket

from sweetspot.rigs.storage import Kept


class Compiled(BytecodeCache):
    """Compiled templates, kept for as long as their text and the versions of Jinja and Python stay."""

    def load_bytecode(self, bucket: Bucket) -> None:
        """Take a template that was kept."""
        if (data := _keeper(bucket).read()) is not None:
            bucket.bytecode_from_string(data)

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep a template that was compiled, in place of its earlier text."""
        keeper = _keeper(bucket)
        keeper.write(bucket.bytecode_to_string())
        keeper.drop_others(f"template-{bucket.key}-*.bin")


def page(name: str = "page.html.j2") -> Template:
    """A page's template."""
    environment = Environment(
        loader=PackageLoader("sweetspot.calibrate.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        bytecode_cache=Compiled(),
    )
    return environment.get_template(name)


def _keeper(bucket: Bucket) -> Kept:
    what = f"{bucket.key} {bucket.checksum} {jinja2.__version__} {sys.version}"
    return Kept(what, (Path(__file__),), f"template-{bucket.key}-{{}}.bin")
