"""Audit at scale: all questions of a table of 100,000 rows and 50 columns by the command, beside budgets of time and memory.

python -m tests.bench.audit_scale ROWS [QUESTIONS]      the same of other sizes, or of some questions
"""

import os
import pathlib
import subprocess
import sys
import tempfile
from dataclasses import dataclass

from tests.audit_worlds import loans
from tests.bench.table import Figure, Row, benchmarks

ROWS, CORES, MINUTES, GIGABYTES = 100_000, 2, 5, 2
SECONDS = Row(f"audit of {ROWS:,} rows x 50 columns, processor time over {CORES} cores", f"{MINUTES} minutes", 1.0)
MEMORY = Row(f"peak memory of the audit of {ROWS:,} rows x 50 columns", f"{GIGABYTES} GB", 1.0)


@dataclass(frozen=True)
class Cost:
    """What a process took.

    Args:
        seconds: float, of processor time, its own and the system's.
        bytes: float, its largest resident memory.
    """

    seconds: float
    bytes: float


# Processor time of a process counts, whatever others do beside it.
@benchmarks.register(rows=(SECONDS, MEMORY), by_name=True, timed=False)
def audit_scale(network, repeats):
    """Audit at scale: 100,000 test rows, 50,000 of training and 50,000 of a later time; all questions."""
    cost = audit(ROWS)
    return {
        SECONDS.name: Figure(cost.seconds / CORES / (60 * MINUTES), f"{cost.seconds:.0f} s of processor time"),
        MEMORY.name: Figure(cost.bytes / (1e9 * GIGABYTES), f"{cost.bytes / 1e9:.2f} GB"),
    }


def audit(rows, *questions):
    """Audit a table in a process of its own.

    Args:
        rows: int, of the test table; the others have half as many.
        questions: str, those that are asked; none: all.

    Returns:
        `Cost`.
    """
    code = "import sys; from recipes.cli import main; main(sys.argv[1:])"
    with tempfile.TemporaryDirectory() as folder:
        words = [*loans.write(folder, rows, rows // 2, rows // 2), "--out", f"{folder}/runs", "--quiet"]
        words += ["--questions", ",".join(questions)] if questions else []
        process = subprocess.Popen([sys.executable, "-c", code, "audit", *words], cwd=pathlib.Path(__file__).parents[2])
        _, status, used = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status):
        raise RuntimeError(f"the audit ended with {os.waitstatus_to_exitcode(status)}")
    return Cost(used.ru_utime + used.ru_stime, 1024.0 * used.ru_maxrss)


if __name__ == "__main__":
    cost = audit(int(sys.argv[1]), *sys.argv[2:])
    print(f"{cost.seconds:.0f} s of processor time, {cost.bytes / 1e9:.2f} GB")
