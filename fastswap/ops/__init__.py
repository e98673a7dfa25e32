"""The accelerated operations. Each has one module of its name; its docstring is the contract for every implementation."""

from fastswap.ops.planes import Colour, Planes
from fastswap.ops.warp import warp

__all__ = ["Colour", "Planes", "warp"]
