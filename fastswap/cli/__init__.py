"""The command line: parse, call, print. No work is done here."""

from __future__ import annotations

import errno
import json
import logging
import signal
import sys
import traceback
from types import FrameType

import tyro

from fastswap.cli.verb import Verb
from fastswap.cli.verbs import AnyVerb
from fastswap.errors import FastswapError

_DESCRIPTION = "Swap a face in a video: extract the faces of two people, train a model, convert the video."
_FAILED, _INTERRUPTED = 1, 130


def main(arguments: list[str] | None = None) -> None:
    """Runs one verb. Exits with 0, 1 (it could not be done), 2 (wrong usage) or 130 (interrupted)."""
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `fastswap --help | head` ends quietly
    verb: Verb = tyro.cli(
        AnyVerb,
        prog="fastswap",
        description=_DESCRIPTION,
        args=arguments,
        config=(tyro.conf.OmitSubcommandPrefixes, tyro.conf.FlagCreatePairsOff),
    )
    _log_to_stderr(verb.quiet)
    signal.signal(signal.SIGTERM, _interrupt)
    sys.exit(_run(verb))


def _run(verb: Verb) -> int:
    from fastswap.cli.show import as_json, show

    try:
        summary = verb.run()
    except KeyboardInterrupt:
        return _fail(
            verb, "interrupted: run the same command again (extract and train go on where they stopped)", _INTERRUPTED
        )
    except FastswapError as error:
        return _fail(verb, str(error), error.exit_code)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            return _fail(verb, "the disk is full: free some space and run the same command again", _FAILED)
        return _fail(verb, f"{error.strerror or error}: {error.filename or ''}".rstrip(": "), _FAILED)
    except MemoryError:
        return _fail(verb, "out of memory: close other programs, or use a smaller --batch or --size", _FAILED)
    except Exception as error:
        line = str(error).strip().splitlines()[0] if str(error).strip() else ""
        return _fail(
            verb, f"{type(error).__name__}: {line} (a defect of fastswap: report it with --debug's output)", _FAILED
        )
    if not verb.quiet:
        show(summary)
    if verb.json:
        print(json.dumps(as_json(summary)), flush=True)
    return 0


def _fail(verb: Verb, line: str, code: int) -> int:
    if verb.debug:
        traceback.print_exc()
    print(f"fastswap: {line}", file=sys.stderr, flush=True)
    if verb.json:
        print(json.dumps({"error": line, "exit_code": code}), flush=True)
    return code


def _log_to_stderr(quiet: bool) -> None:
    logging.basicConfig(stream=sys.stderr, format="fastswap: %(message)s", level=logging.WARNING)
    logging.getLogger("fastswap").setLevel(logging.ERROR if quiet else logging.INFO)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
