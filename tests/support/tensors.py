"""Tensors of a library that is not numpy, as far as numpy can see one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike


class Tensor:
    """Is read by `__array__`, as PyTorch's are: not while it records what is done to it."""

    def __init__(self, values: ArrayLike, requires_grad: bool = False) -> None:
        self.values = np.asarray(values)
        self.requires_grad = requires_grad

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if self.requires_grad:
            raise RuntimeError("no numpy() of a tensor that requires grad")
        return self.values if dtype is None else self.values.astype(dtype)

    def __int__(self) -> int:
        return int(self.values)

    def __eq__(self, other: object) -> bool:
        return bool(self.values == other)

    __hash__ = None  # type: ignore[assignment]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    def size(self) -> tuple[int, ...]:
        """A method, as PyTorch's, where numpy has a number."""
        return self.values.shape


class ByDlpack:
    """Is read by `__dlpack__` alone."""

    def __init__(self, values: ArrayLike) -> None:
        self.values = np.asarray(values)

    def __dlpack__(self, **asked: Any) -> Any:
        return self.values.__dlpack__(**asked)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.values.__dlpack_device__()
