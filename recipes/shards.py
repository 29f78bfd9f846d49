"""Shards: photographs that are too many for one job or for the memory, in jobs of some of them.

split(map_jobs, ...)  -> [Job]    predictions, maps and statistics of every shard, and then the jobs that gather these
"""

from dataclasses import dataclass, replace

from recipes.job import Job

# Kinds of jobs whose maps the page shows.
SHOWN_MAPS = ("maps", "shown maps")
# Photographs that the page shows of all.
SHOWN = 24


@dataclass(frozen=True)
class Shard:
    """Some photographs that follow each other.

    Args:
        number: int, which shard it is.
        start: int, the place of its first photograph among all.
        stop: int, the place after its last one.
    """

    number: int
    start: int
    stop: int

    def job(self, key, kind, arguments, reads):
        """A job that reads these photographs and no others.

        Args:
            key: str, the folder of such jobs.
            kind: str.
            arguments: dict.
            reads: tuple of str, what it reads beside the photographs.

        Returns:
            `Job`.
        """
        places = {"places": [self.start, self.stop]}
        photographs = f"images:{self.start}-{self.stop}"
        return Job(f"{key}/{self.number:05}", kind, {**arguments, **places}, reads=(*reads, photographs))

    def maps(self, job, size):
        """The job of a method's maps of these photographs.

        Args:
            job: `Job`, the same for a whole shard of photographs.
            size: int, how many these are.

        Returns:
            `Job`.
        """
        reads = tuple(name for name in job.reads if name != "images")
        passes = job.passes * (self.stop - self.start) / size
        return replace(self.job(job.key, "shard maps", job.arguments, reads), passes=passes)

    def statistics(self, jobs, seed):
        """The job of the statistics of these photographs.

        Args:
            jobs: list of `Job`, their predictions, and their maps by each method.
            seed: int.

        Returns:
            `Job`.
        """
        arguments = {"seed": [seed, self.number]}
        return Job(f"statistics/{self.number:05}", "shard statistics", arguments, _keys(jobs), gathers=True)


def split(map_jobs, selection, seed, total, size):
    """The jobs of photographs in shards.

    Args:
        map_jobs: list of `Job`, the maps of a whole shard by each method.
        selection: dict, arguments of `recipes.mistakes.answers`.
        seed: int.
        total: int, how many photographs there are.
        size: int, how many of them a shard has.

    Returns:
        list of `Job`.
    """
    shards = [Shard(number, start, min(start + size, total)) for number, start in enumerate(range(0, total, size))]
    per_shard = -(-SHOWN // len(shards))
    arguments = {**selection, "shown": per_shard}
    predictions = [shard.job("predictions", "shard predictions", arguments, ("model",)) for shard in shards]
    maps = [[shard.maps(job, size) for shard in shards] for job in map_jobs]
    statistics = [shard.statistics(jobs, seed) for shard, *jobs in zip(shards, predictions, *maps)]
    limits = {"most": SHOWN, "per_shard": per_shard}
    gathering = [
        Job("photographs", "shown photographs", limits, _keys([*statistics, *predictions]), gathers=True),
        *(_shown_maps(job, jobs) for job, jobs in zip(map_jobs, maps)),
        Job("agreement", "sum of statistics", {}, _keys(statistics), gathers=True),
    ]
    return [*predictions, *(job for jobs in maps for job in jobs), *statistics, *gathering]


def _keys(jobs):
    return tuple(job.key for job in jobs)


def _shown_maps(job, shard_jobs):
    """The job that takes a method's maps of the photographs that are shown from those of the shards."""
    key = f"shown/{job.key.partition('/')[2]}"
    return Job(key, "shown maps", {}, ("photographs", *_keys(shard_jobs)), gathers=True)
