"""Reason records: the reasons of one decision on a row of a table, as a file of its own that no report contains."""

import pathlib
from dataclasses import replace

from lab.refusal import Refused
from lab.remote import as_path
from recipes.job import slug
from recipes.store import encode

# What a reader of the file has to know of its numbers.
NUMBERS = "Contributions are in log odds. A row is counted from 1, as it stands below the header."


def record_decision(recipe, row, root, allow_code=False):
    """Ask for the reasons of one decision, and write them to a file.

    Args:
        recipe: `Recipe` with [model] and [audit], whose rows to test hold the row.
        row: int from 1, the place of the row below the header.
        root: folder of all runs.
        allow_code: whether model files may run Python code of their own.

    Returns:
        dict, the record with table and network; str, the path of its file.

    Raises:
        Refused: for a row or a sheet that does not fit.
    """
    from recipes.audits import sheet_of
    from recipes.session import Session
    from recipes.sources import Sources
    from sanity.audit.questions import open_subject
    from sanity.audit.reasons import reason_record

    session = Session(Sources.of(recipe), root, allow_code=allow_code)
    table = recipe.audit
    sheet = sheet_of(table)
    if sheet.decision is None:
        raise Refused(
            'Reasons are of a decision, which a sheet states. Received: a sheet without one. Add to it: [decision] favourable = "CLASS" and threshold = 0.5.'
        )
    replicates = session.audit_replicates
    subject = open_subject(session.network, {"test": table.test}, sheet, None, replicates)
    subject = replace(subject, alpha=sheet.alpha)
    if not 1 <= row <= len(subject.test):
        raise Refused(f"--row is a number from 1 to {len(subject.test):,}. Received: {row}.")
    record = reason_record(subject, row - 1, seed=recipe.seed)
    record |= {"row": row, "table": str(table.test), "network": session.network.name, "numbers": NUMBERS}
    path = as_path(root) / "reasons" / f"{slug(pathlib.Path(str(table.test)).stem)}-row-{row}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(record))
    return record, str(path)
