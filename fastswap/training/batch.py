"""The largest batch that fits: `-b auto`, and what to say where a batch did not fit.

A GPU is asked: steps are tried with most of its memory allowed, until one does not fit. A CPU must not be: the system
would end the process, or swap. There one face a side and two tell what a face takes, and what is left is divided."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from fastswap.device import free_memory
from fastswap.errors import TrainingError
from fastswap.models.saved import saved_for_backward
from fastswap.training.examples import noise
from fastswap.training.plan import Moment
from fastswap.training.schedule import TERMS
from fastswap.training.step import Step

MOST = 1024
"""Faces a side: larger batches learn less from each."""
_SHARE = 0.9
"""Of the memory: fragments, graphs and previews have the rest."""
_SCRATCH = 1.6
"""What a face takes in a step on a CPU, over what autograd keeps of it: by the process's peak of resident memory 1.5 of
`lite`, 1.2 of `original`, 0.9 of `gan` at 64 px."""
_GRANULARITY = 8
"""The answer is exact to one eighth of itself."""


def largest(fits: Callable[[int], bool], multiple: int = 1, most: int = MOST) -> int:
    """The largest multiple of `multiple` up to `most` that fits, to an eighth of itself; 0 where none does. What is
    larger than something that does not fit is never tried but for the first: doubled until it fails, then halved."""
    low, high = 0, multiple
    while high <= most and fits(high):
        low, high = high, 2 * high
    high = min(high, most // multiple * multiple + multiple)
    while high - low > max(multiple, low // _GRANULARITY):
        middle = (low + high) // 2 // multiple * multiple
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def find_batch(make: Callable[[], Step], *, multiple: int = 1, most: int = MOST, reserve: int = 0) -> int:
    """The largest batch a side, a multiple of `multiple`, with which the step that `make` makes fits into what memory
    is free, `reserve` bytes left. It is made for this alone, and gone when this returns. Raises TrainingError where
    not even the smallest fits."""
    try:
        step = make()
        fits = _gpu_fits(step) if step.device.type == "cuda" else _cpu_fits(step, multiple, reserve)
        with _limited(step.device, reserve):
            found = largest(fits, multiple, most)
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        found = 0
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if not found:
        raise TrainingError("the memory is too small for the smallest batch: choose a smaller --size or another model")
    return found


def try_step(step: Step, batch: int) -> None:
    """A step with all losses that there ever are, on `batch` faces a side without content."""
    preset = step.preset
    examples = noise(preset.size_in, preset.size_out, step.sides * batch, step.device)
    step.prepare(Moment(0, 0.0))
    step.compute(examples, frozenset(term for term in TERMS if getattr(preset.objective, term)))


def _gpu_fits(step: Step) -> Callable[[int], bool]:
    def fits(batch: int) -> bool:
        try:
            try_step(step, batch)
            torch.cuda.synchronize(step.device)
        except torch.OutOfMemoryError:
            return False
        finally:
            for optimiser in step.optimisers:
                optimiser.clear()
            torch.cuda.empty_cache()
        return True

    return fits


@contextmanager
def _limited(device: torch.device, reserve: int) -> Iterator[None]:
    """While the block runs this process gets no more of the GPU than leaves something."""
    if device.type != "cuda":
        yield
        return
    total = torch.cuda.mem_get_info(device)[1]
    torch.cuda.set_per_process_memory_fraction(max(_SHARE - reserve / total, 0.01), device)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)


def _cpu_fits(step: Step, multiple: int, reserve: int) -> Callable[[int], bool]:
    one, two = (_kept(step, count * multiple) for count in (1, 2))
    gradients = sum(w.nbytes for optimiser in step.optimisers for w in optimiser.parameters.values())
    free = _SHARE * free_memory(step.device) - reserve - gradients

    def fits(batch: int) -> bool:
        return _SCRATCH * (one + (two - one) * (batch / multiple - 1)) <= free

    return fits


def _kept(step: Step, batch: int) -> int:
    """Bytes of the distinct storages that autograd keeps in one step."""
    with saved_for_backward() as sizes:
        try_step(step, batch)
    return sum(sizes.values())


def out_of_memory(error: RuntimeError) -> bool:
    """Whether it says that there is no memory, on a GPU or, where the system says no, on a CPU."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator: can't allocate memory" in str(error)


def advice(batch: int, fitting: int) -> str:
    """What to do where a batch of `batch` did not fit and one of `fitting` does."""
    parts = next((n for n in range(2, batch + 1) if batch % n == 0 and batch // n <= fitting), None)
    keep = f", or --accumulate {parts} to keep the batch" if parts else ""
    return f"a batch of {fitting} fits: give --batch {fitting}{keep}"
