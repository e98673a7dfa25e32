"""A worker on this machine: `python -m fastswap.cluster.worker CORES` takes a task a line and answers with a line."""

from __future__ import annotations

import logging
import os
import queue
import signal
import sys
import threading

from fastswap.cluster.tasks import perform


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who gives the tasks, and he ends this process
    logging.getLogger("fastswap").setLevel(logging.ERROR)  # the rest is said once, by who gives the tasks
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what encoders print is no answer
    tasks: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_listen, args=(tasks,), daemon=True).start()
    cores = int(sys.argv[1])
    while True:
        print(perform(tasks.get(), cores), file=answers, flush=True)


def _listen(tasks: queue.Queue[str]) -> None:
    """Takes the tasks while another is done, to notice at once when nobody waits for the answer any more."""
    for line in sys.stdin:
        tasks.put(line)
    os._exit(0)


if __name__ == "__main__":
    main()
