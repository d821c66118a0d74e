"""One BLAS thread for many small products, since splitting each over all cores costs more than it gains."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any

from threadpoolctl import ThreadpoolController


@lru_cache(maxsize=1)
def _controller() -> Any:
    return ThreadpoolController()


def one_core() -> AbstractContextManager[Any]:
    """While it lasts, products of matrices run on one core.

    The lab's products are small and very many. Split over two cores of a busy machine they took ten times as long.
    """
    return _controller().limit(limits=1, user_api="blas")  # type: ignore[no-any-return]
