"""The page's templates; their compiled form is kept on disk, as compiling takes as long as four pictures."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

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


_ELEMENTS = "(?:script|style|svg|pre|code|time)"

ASIDE = re.compile(rf"(<{_ELEMENTS}\b.*?</{_ELEMENTS}>|<[^>]*>)", re.DOTALL)
"""What is not text for people: tags, pictures, programs, and what is shown verbatim."""

ZERO = re.compile(r"(?<![\w.\u2013-])-(0(?:\.0+)?)(?!\.?\d)")
"""A zero that rounding left a sign."""

NEGATIVE = re.compile(r"(?<![\w.\u2013-])-(?=\d)")
"""The hyphen of a negative number."""


def rendered(name: str, values: dict[str, Any]) -> str:
    """A page from its template, its numbers set as :func:`typeset` does."""
    return typeset(page(name).render(values))


def typeset(page: str) -> str:
    """A page whose negative numbers all have a minus sign, as those of its pictures, and whose zeros have no sign.

    Tags, pictures, and what is shown verbatim (files, commands) stay as they are.
    """
    parts = ASIDE.split(page)
    parts[::2] = (_signed(text) for text in parts[::2])
    return "".join(parts)


def _signed(text: str) -> str:
    if "-" not in text:
        return text
    return NEGATIVE.sub("\N{MINUS SIGN}", ZERO.sub(r"\1", text.replace("+-", "±")))


def page(name: str) -> Template:
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
