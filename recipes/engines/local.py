"""Local: the engine of one process. Jobs are done here, one after another, in their order."""

import os
import time

from recipes.engines.attempt import attempt, obstacle
from recipes.events import Finished, Started


class Local:
    """Does every job in this process."""

    workers = 1

    def carry_out(self, jobs, session, store):
        """Do jobs in their order.

        Args:
            jobs: list of `Job`, each after those that it needs.
            session: `Session`.
            store: `Store` of the run.

        Returns:
            iterator of `Started` and `Finished`.
        """
        for job in jobs:
            store.check_lock()
            if store.is_done(job.key):
                # The jobs that it needs were done again, with the same result.
                continue
            yield Started(job, os.getpid())
            start = time.perf_counter()
            error = obstacle(job, store) or attempt(job, session, store)
            yield Finished(job, os.getpid(), time.perf_counter() - start, error)
