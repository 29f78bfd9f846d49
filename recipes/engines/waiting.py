"""Waiting: the jobs of a run that were not begun yet, in the order in which they can be."""

import graphlib
import heapq
import itertools

# How often a job is begun before it counts as failed because its process was killed.
TRIES = 3


class Waiting:
    """The jobs that were not begun yet.

    Args:
        jobs: list of `Job`.
        store: `Store` of the run.
    """

    def __init__(self, jobs, store):
        self.jobs, self.store = {job.key: job for job in jobs}, store
        self.sorter = graphlib.TopologicalSorter(
            {key: [need for need in job.needs if need in self.jobs] for key, job in self.jobs.items()}
        )
        self.sorter.prepare()
        self.ready, self.tries, self.turns = {}, {}, itertools.count()

    @property
    def is_over(self):
        """Whether all jobs have ended: bool."""
        return not self.sorter.is_active()

    def next(self, family, families):
        """The job to do next, taken from the list.

        Args:
            family: of the process's last job, or None.
            families: set of the families of the last jobs of all processes.

        Returns:
            `Job`: of the process's own family where there is any, else of one that no other process has, and of these the
            longest, so that no process is left alone with it; or None while all of them wait for others.
        """
        while True:
            for key in self.sorter.get_ready():
                self._put(self.jobs[key])
            if not self.ready:
                return None
            job = self._take(family if family in self.ready else _unshared(self.ready, families))
            if not self.store.is_done(job.key):
                return job
            # The jobs that it needs were done again, with the same result.
            self.sorter.done(job.key)

    def _put(self, job):
        heapq.heappush(self.ready.setdefault(job.family, []), (-job.passes, next(self.turns), job))

    def _take(self, family):
        *_, job = heapq.heappop(self.ready[family])
        if not self.ready[family]:
            del self.ready[family]
        return job

    def end(self, job):
        """Note that a job has ended, so that those that need it can begin.

        Args:
            job: `Job`.
        """
        self.sorter.done(job.key)

    def again(self, job):
        """Put a job whose process was killed back, unless that happened too often.

        Args:
            job: `Job`.

        Returns:
            bool, whether it was put back.
        """
        self.tries[job.key] = self.tries.get(job.key, 0) + 1
        if self.tries[job.key] >= TRIES:
            return False
        self._put(job)
        return True


def _unshared(ready, families):
    """The first family of which there are jobs and no process, else the first one: str."""
    return next((family for family in ready if family not in families), next(iter(ready)))
