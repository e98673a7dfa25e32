"""What autograd keeps for a backward pass, in bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks


@contextmanager
def saved_for_backward(leave_out: Sequence[Tensor] = ()) -> Iterator[dict[int, int]]:
    """Of each distinct storage that is saved in the block, but for those of `leave_out`: its identity -> its bytes."""
    known = {tensor.untyped_storage()._cdata for tensor in leave_out}
    sizes: dict[int, int] = {}
    kept: list[Tensor] = []  # a storage that is freed would lend its identity to another

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in known and storage._cdata not in sizes:
            sizes[storage._cdata] = storage.nbytes()
            kept.append(tensor.detach())
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        yield sizes
