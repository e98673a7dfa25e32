"""Workers on this machine, each a process with its share of the cores."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import Any

from fastswap import workers
from fastswap.cluster.backend import ATTEMPTS
from fastswap.cluster.tasks import value_of
from fastswap.errors import WorkerLostError

_log = logging.getLogger("fastswap")


class LocalBackend:
    """count: how many workers; see `Backend`. A thread waits for each."""

    def __init__(self, count: int) -> None:
        self.workers = count
        self._cores = max(1, workers.cores() // count)
        self._threads = ThreadPoolExecutor(count, "fastswap worker")
        self._own = threading.local()
        self._lock = threading.Lock()
        self._processes: set[subprocess.Popen[str]] = set()
        self._closed = False

    def run(self, tasks: Sequence[str], done: Callable[[int], None]) -> list[Any]:
        futures = [self._threads.submit(self._answer, task) for task in tasks]
        numbers = {future: number for number, future in enumerate(futures)}
        open_ones: set[Future[Any]] = set(futures)
        try:
            while open_ones:
                finished, open_ones = wait(open_ones, return_when=FIRST_COMPLETED)
                for future in finished:
                    future.result()
                    done(numbers[future])
            return [future.result() for future in futures]
        finally:
            for future in open_ones:
                future.cancel()

    def everywhere(self, task: str) -> list[Any]:
        return self.run([task], lambda number: None)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            for process in self._processes:
                process.kill()
        self._threads.shutdown(cancel_futures=True)
        for process in self._processes:
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe:
                    with suppress(BrokenPipeError):  # of a task that a lost worker did not take
                        pipe.close()

    def _answer(self, task: str) -> Any:
        for _ in range(ATTEMPTS):
            process = self._process()
            answer = _ask(process, task)
            if answer:
                return value_of(answer)
            if self._closed:
                break
            _log.warning("a worker was lost (exit status %s): its part is done again", process.wait())
        raise WorkerLostError(f"a worker was lost {ATTEMPTS} times on the same part: it may need more memory (--jobs)")

    def _process(self) -> subprocess.Popen[str]:
        """The worker of this thread; another one where it has ended."""
        process: subprocess.Popen[str] | None = getattr(self._own, "process", None)
        if process is not None and process.poll() is None:
            return process
        with self._lock:
            if self._closed:
                raise WorkerLostError("the workers are gone")
            command = [sys.executable, "-m", "fastswap.cluster.worker", str(self._cores)]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8")
            self._processes.add(process)
        self._own.process = process
        return process


def _ask(process: subprocess.Popen[str], task: str) -> str:
    """The answer to a task; empty where the worker ended meanwhile."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(task + "\n")
        process.stdin.flush()
    except BrokenPipeError:
        return ""
    return process.stdout.readline()
