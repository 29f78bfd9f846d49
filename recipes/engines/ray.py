"""Ray: the engine of a cluster. Placement, retries and lost nodes are Ray's; the plan, the jobs and the bytes are ours.

Moritz et al. 2018, https://arxiv.org/abs/1712.05889. A node needs this version of the lab, and the folder of runs, the model
and the images under the paths or addresses that they have here.
"""

import functools
import json
import os
import platform
import socket
import time
import warnings
from dataclasses import asdict
from importlib import metadata

from lab.refusal import Refused
from lab.remote import as_path, is_remote
from recipes import machine
from recipes.engines.attempt import obstacle
from recipes.engines.waiting import TRIES, Waiting
from recipes.engines.worker import Orders, attempt_with_warnings, open_session
from recipes.events import Finished, Started

# What must be the same on every node.
PACKAGES = ("interpretability-lab", "tensorflow", "keras", "numpy")
# Seconds between two looks at how large the cluster is.
LOOK = 5.0
# Seconds in which an address has to answer.
ANSWER = 10.0


class Ray:
    """Does jobs on a cluster, each as a task with as many cores as it has threads, and with the GPUs of the recipe.

    Args:
        address: of a running cluster, such as "auto" or "ray://head:10001"; None: a cluster of this machine alone.
        workers: int, how many jobs run at once at most; None: as many as the cluster has cores for.
        deterministic: bool, whether a GPU computes bit-equal results.
    """

    def __init__(self, address=None, workers=None, deterministic=False):
        self.address, self.limit, self.deterministic = address, workers, deterministic
        self.workers = workers or machine.cores()

    def carry_out(self, jobs, session, store):
        """Do jobs, each as soon as those that it needs are done.

        Args:
            jobs: list of `Job`.
            session: `Session`.
            store: `Store` of the run.

        Returns:
            iterator of `Started` and `Finished`.

        Raises:
            Refused: for an address that does not answer, and for a node that cannot do the jobs.
        """
        if not jobs:
            return
        threads = session.sources.threads or 1
        orders = json.dumps(asdict(Orders.of(jobs, session, store, threads, self.deterministic)))
        ray = _connect(self.address)
        try:
            _refuse_nodes(ray, session.sources, store)
            needs = {"CPU": threads, "GPU": session.sources.gpus}
            _refuse_small_nodes(ray, needs)
            do = ray.remote(num_cpus=needs["CPU"], num_gpus=needs["GPU"], max_retries=TRIES - 1)(_do)
            yield from _tend(ray, do, orders, Waiting(jobs, store), store, _Slots(ray, needs, self.limit))
        finally:
            ray.shutdown()


def _connect(address):
    """The module `ray`, connected to a cluster."""
    try:
        import ray
    except ImportError as error:
        raise Refused(
            "--engine ray needs Ray. Received: an environment without it. Type: pip install 'interpretability-lab[ray]'."
        ) from error
    _refuse_silent(address)
    try:
        ray.init(
            address, log_to_driver=False, include_dashboard=False if address is None else None, logging_level="ERROR"
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise _silent(address, str(error).strip().splitlines()[0]) from error
    return ray


def _refuse_silent(address):
    """Raise Refused where nobody answers at a host and port. Ray itself would wait, and then end the process."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if not port.isdecimal():
        return
    try:
        socket.create_connection((host, int(port)), timeout=ANSWER).close()
    except OSError as error:
        raise _silent(address, error.strerror or str(error)) from error


def _silent(address, reason):
    return Refused(
        f"--address names a running Ray cluster. Received: {address!r}: {reason.rstrip('.')}. Start one with `ray start --head`, or leave --address out."
    )


class _Slots:
    """How many jobs the cluster can do at once, looked up now and then, since nodes come and go."""

    def __init__(self, ray, needs, limit):
        self.ray, self.limit, self.looked, self.known = ray, limit, float("-inf"), 1
        self.needs = {name: amount for name, amount in needs.items() if amount}

    def count(self):
        """The number of jobs at once: int."""
        if time.monotonic() - self.looked > LOOK:
            has = self.ray.cluster_resources()
            slots = min(int(has.get(name, 0) / amount) for name, amount in self.needs.items())
            self.known, self.looked = max(1, slots), time.monotonic()
        return min(self.known, self.limit or self.known)


def _tend(ray, do, orders, waiting, store, slots):
    """Hand out jobs and take results until all jobs have ended: iterator of events."""
    running = {}
    while not waiting.is_over:
        store.check_lock()
        while len(running) < slots.count():
            job = waiting.next(None, set())
            if job is None:
                break
            yield Started(job, "ray")
            error = obstacle(job, store)
            if error:
                waiting.end(job)
                yield Finished(job, "ray", 0.0, error)
            else:
                running[do.remote(orders, job)] = job
        for reference in ray.wait(list(running), timeout=LOOK)[0] if running else ():
            yield _finish(ray, reference, running.pop(reference), waiting)


def _finish(ray, reference, job, waiting):
    try:
        error, messages, worker, seconds = ray.get(reference)
    except ray.exceptions.RayError as lost:
        # Ray has begun it anew as often as it may.
        reason = str(lost).strip().splitlines()[0]
        error, messages, worker, seconds = f"its worker was lost {TRIES} times: {reason}", (), "ray", 0.0
    waiting.end(job)
    for message in messages:
        warnings.warn(message, stacklevel=2)
    return Finished(job, worker, seconds, error)


# On a node ----------------------------------------------------------------------------------------------------------------


def _do(orders, job):
    """Do a job in a process of a node, whose session is kept for the jobs that follow."""
    worker = f"{socket.gethostname()}:{os.getpid()}"
    try:
        session, store = _open_once(orders)
    except Refused as refusal:
        return str(refusal), [], worker, 0.0
    start = time.perf_counter()
    error, messages = attempt_with_warnings(job, session, store)
    return error, messages, worker, time.perf_counter() - start


@functools.lru_cache(maxsize=1)
def _open_once(orders):
    return open_session(Orders(**json.loads(orders)))


def _describe_node(paths):
    """What a node has: versions of what must be the same, and which of some paths it cannot see."""
    versions = {"python": platform.python_version(), **{name: metadata.version(name) for name in PACKAGES}}
    return versions, [path for path in paths if not _exists(path)]


def _exists(path):
    """Whether a node reaches a path or an address: bool."""
    try:
        return as_path(path).exists()
    except (OSError, Refused):
        return False


def _refuse_small_nodes(ray, needs):
    """Raise Refused where no node has what one job takes. Ray itself would wait for such a node."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if not any(all(node.get(name, 0) >= amount for name, amount in needs.items()) for node in nodes):
        largest = {name: max((node.get(name, 0) for node in nodes), default=0) for name in needs}
        raise Refused(
            f"A job takes threads={needs['CPU']} and gpus={needs['GPU']:g} of one node. Received: nodes with at most {largest['CPU']:g} cores and {largest['GPU']:g} GPUs. Ask for less, or add a node."
        )


def _refuse_nodes(ray, sources, store):
    """Raise Refused where a node has other versions, or does not see the run, the model or the images."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    expected, _ = _describe_node([])
    paths = [str(store.path.resolve() / "manifest.json"), *_paths(sources)]
    nodes = [node for node in ray.nodes() if node["Alive"]]
    describe = ray.remote(num_cpus=0)(_describe_node)
    answers = [
        describe.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(paths)
        for node in nodes
    ]
    for node, answer in zip(nodes, answers):
        name = node["NodeManagerAddress"]
        try:
            versions, unseen = ray.get(answer)
        except ray.exceptions.RayError:
            # It was lost a moment ago. Its jobs go to the others.
            continue
        other = [f"{part} {version}" for part, version in versions.items() if version != expected[part]]
        if other:
            raise Refused(f"Every node has the versions of this machine. Received: {name} with {', '.join(other)}.")
        if unseen:
            raise Refused(
                f"Every node sees the files of the run under the same path. Received: {name}, which has no {unseen[0]}."
            )


def _paths(sources):
    """Addresses and absolute paths of the files that a run reads: list of str."""
    images = sources.images
    names = [sources.model.source, images.folder, *images.files, images.table]
    names += [sources.data.source, sources.data.vocabulary, sources.data.tokenizer] if sources.data else []
    return [
        name if is_remote(name) else os.path.abspath(name)
        for name in names
        if name and (is_remote(name) or os.path.exists(name))
    ]
