"""Inputs: the files of the jobs that a job needs, and of no others."""

from lab.refusal import Refused


class Inputs:
    """Reads what a job may read of its run.

    Args:
        store: `Store` of the run.
        job: `Job`.
    """

    def __init__(self, store, job):
        # A job may gather tens of thousands of others.
        self._store, self._keys = store, frozenset(job.needs)

    def exists(self, key):
        """Whether the files of a job that is needed exist and are unchanged: bool; False where it failed."""
        return self._store.exists(self._needed(key))

    def arrays(self, key, name):
        """The .npz file of a job that is needed.

        Args:
            key: str, the key of that job.
            name: str, the name of the file.

        Returns:
            dict of name to array.
        """
        return self._store.arrays(self._needed(key), name)

    def values(self, key, name):
        """The .json file of a job that is needed.

        Args:
            key: str, the key of that job.
            name: str, the name of the file.

        Returns:
            dict, list or other value of JSON.
        """
        return self._store.values(self._needed(key), name)

    def _needed(self, key):
        if key not in self._keys:
            raise Refused(f"A job reads the files of jobs that it needs. Received: {key!r}. Name it among its needs.")
        return key
