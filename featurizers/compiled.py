"""How the package's hot functions are compiled: by numba, without the GIL, kept on disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np
from numpy.typing import NDArray

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compiled at the first call for each combination of argument types."""
    return _jit(function, {"nogil": True})


def inlined(function: Function) -> Function:
    """Compiled into its callers: a call that passes arrays costs more than what a small one does.

    What is kept on disk is renewed when the caller's module changes, so both share a module.
    """
    return _jit(function, {"nogil": True, "inline": "always"})


def _jit(function: Function, options: dict[str, Any]) -> Function:
    try:
        made: Function = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # nowhere to write a cache: a read-only installation compiles at start
        made = numba.njit(**options)(function)
    return made


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    """A read-only contiguous view: live words are read-only, and one type means one compilation."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view
