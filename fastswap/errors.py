"""What can go wrong for a user, each kind one line that says what to do. The CLI prints the line and exits; a traceback
comes only with --debug."""

from __future__ import annotations


class FastswapError(Exception):
    """The base of all errors that a user can act on. `exit_code` is what the CLI exits with."""

    exit_code = 1


class InputError(FastswapError):
    """A file or folder that the user named cannot be used as it is."""


class UsageError(FastswapError):
    """Flags that do not go together, or a value out of range."""

    exit_code = 2


class MissingDependencyError(FastswapError):
    """An optional package is asked for by name and is not installed. The line names the pip extra."""


class DamagedFileError(FastswapError):
    """A file of ours (face set, model, checkpoint) fails its checksum or cannot be read."""


class StoppedError(FastswapError):
    """A signal ended the work before its time. The line says what there is nevertheless."""

    exit_code = 130


class WorkerLostError(FastswapError):
    """A process that does a part of the work, here or on another machine, ends again and again."""


class TrainingError(FastswapError):
    """Training cannot go on: the loss is not finite, memory ran out."""
