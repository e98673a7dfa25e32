"""Workers on the nodes of a Ray cluster."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Sequence
from typing import Any

from fastswap import workers
from fastswap.cluster.backend import ATTEMPTS
from fastswap.cluster.tasks import perform, value_of
from fastswap.errors import InputError, MissingDependencyError, UsageError, WorkerLostError

_MOST_CORES = 8
"""Of one task: `workers.for_device` uses no more."""
_STORE_BYTES = 100 << 20
"""Of a cluster that is started here: tasks and answers are small, frames stay in files."""
_CONNECT_SECONDS = 5.0
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}


class RayBackend:
    """See `Backend`. address: "host:port" of a head node, "auto" for the cluster that this machine belongs to, "local"
    to start one here; jobs: how many tasks at once (None: as many as the cores or GPUs allow); gpu: whether a task
    takes a GPU, where the cluster has some."""

    def __init__(self, address: str, jobs: int | None, *, gpu: bool) -> None:
        try:
            import ray
        except ImportError as error:
            raise MissingDependencyError('--ray needs Ray: pip install "fastswap[ray]"') from error
        self._ray = ray
        _connect(ray, address, jobs)
        cores, gpus = (int(ray.cluster_resources().get(kind, 0)) for kind in ("CPU", "GPU"))
        if cores < 1:
            self.close()
            raise InputError(f"--ray {address}: the cluster has no cores to work with")
        smallest = min(int(node["Resources"].get("CPU", 0)) or cores for node in ray.nodes() if node["Alive"])
        gpus = gpus if gpu else 0
        self.workers = jobs or gpus or max(1, cores // min(_MOST_CORES, smallest))
        self._cores = max(1, min(smallest, cores // self.workers))
        self._gpus = min(1.0, gpus / self.workers)
        self._task = ray.remote(perform)
        self._share = {"num_cpus": self._cores, "num_gpus": self._gpus, "max_retries": ATTEMPTS - 1}

    def run(self, tasks: Sequence[str], done: Callable[[int], None]) -> list[Any]:
        waiting = [self._task.options(**self._share).remote(task, self._cores) for task in tasks]
        numbers = {reference: number for number, reference in enumerate(waiting)}
        values: list[Any] = [None] * len(tasks)
        try:
            while waiting:
                finished, waiting = self._ray.wait(waiting)
                for reference in finished:
                    values[numbers[reference]] = self._value(reference)
                    done(numbers[reference])
        finally:
            for reference in waiting:
                self._ray.cancel(reference, force=True)
        return values

    def everywhere(self, task: str) -> list[Any]:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        asked = [
            self._task.options(
                num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            ).remote(task, 1)
            for node in self._ray.nodes()
            if node["Alive"] and node["Resources"].get("CPU", 0)
        ]
        return [self._value(reference) for reference in asked]

    def close(self) -> None:
        self._ray.shutdown()

    def _value(self, reference: Any) -> Any:
        lost = self._ray.exceptions
        try:
            return value_of(self._ray.get(reference))
        except lost.RayTaskError as error:  # `perform` itself raises nothing
            raise InputError(f"a node cannot run fastswap (install the same on each): {_line(error)}") from error
        except lost.RayError as error:
            raise WorkerLostError(f"a worker was lost {ATTEMPTS} times on the same part: {_line(error)}") from error


def _connect(ray: Any, address: str, jobs: int | None) -> None:
    os.environ.update({name: value for name, value in _QUIET.items() if name not in os.environ})
    logging.getLogger("ray").setLevel(logging.ERROR)
    told: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": False}
    try:
        if address == "local":
            cores = max(workers.cores(), jobs or 1)
            ray.init(address="local", num_cpus=cores, include_dashboard=False, object_store_memory=_STORE_BYTES, **told)
        else:
            _check_reachable(address)
            ray.init(address=address, **told)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise InputError(
            f"--ray {address}: no Ray cluster that this machine belongs to ({_line(error)}): "
            "start one with `ray start --head`, give this machine its token (docs/cluster.md), or use --ray local"
        ) from error


def _check_reachable(address: str) -> None:
    """Ray itself would wait for a minute. Raises UsageError for what is no address, InputError where nobody answers."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        raise UsageError(f"--ray {address}: give the head node as host:port (10.0.0.2:6379), or auto, or local")
    try:
        socket.create_connection((host, int(port)), _CONNECT_SECONDS).close()
    except OSError as error:
        reason = error.strerror or error
        raise InputError(
            f"--ray {address}: nobody answers there ({reason}): start the cluster with `ray start --head`"
        ) from error


def _line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
