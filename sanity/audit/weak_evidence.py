"""Weak evidence: what a search for groups of rows with more errors says, the same for groups by columns and by activations."""

from sanity.audit.gates import answers_gate, labels_gate, trained_gates, units_gate
from sanity.audit.margin import BEYOND, NONE, TOO_FEW, UNCERTAIN, WITHIN, margin_evidence
from sanity.evidence import Gate


def search_gates(subject, rows):
    """What has to hold before groups of rows are searched for errors.

    Args:
        subject: `sanity.audit.rows.AuditSubject`.
        rows: `Rows`, those that are labelled.

    Returns:
        tuple of `Gate`.
    """
    return (labels_gate(rows), answers_gate(rows), units_gate(rows), *trained_gates(subject))


def size_gate(slices, noun):
    """Whether any group is large enough to be searched.

    Args:
        slices: `sanity.audit.slices.Slices`.
        noun: str, such as "clusters".

    Returns:
        `Gate`.
    """
    words = f"{len(slices):,} {noun} are large enough"
    return Gate(f"{noun.partition(' ')[0]} to search", "passed" if len(slices) else "failed", words)


def weak_evidence(check, method, noun, subject, weak, *, names, gates, samples, settings, tables):
    """Evidence of a search, with the slices that stand out in its settings.

    Args:
        check: str.
        method: str, what was searched, such as "groups of rows".
        noun: str, one of them in a word.
        subject: `AuditSubject`.
        weak: `sanity.audit.weak_slices.WeakSlices`.
        names: str, the slices that stand out.
        gates: tuple of `Gate`.
        samples: dict of name to array, beside the members of the slices.
        settings: dict, of the check.
        tables: dict of title to list of dict.

    Returns:
        `Evidence`.
    """
    return margin_evidence(
        check,
        method,
        subject,
        p=weak.p,
        effect=weak.effect,
        tries=weak.tries,
        delta=weak.delta,
        why=_clauses(weak, method, noun, names),
        units=weak.rows.unit_count,
        gates=gates,
        samples={"members": weak.masks, **samples},
        settings=settings,
        needed=weak.needed,
        searched=len(weak.slices),
        tables=tables,
        also=_counted(weak),
    )


def _counted(weak):
    """How many rows were searched, where these are not all."""
    if weak.searched == len(weak.rows):
        return ()
    words = f"{weak.searched:,} of {len(weak.rows):,}, drawn by unit; all rows tell how large an excess is"
    return (("rows that were searched", words),)


def _clauses(weak, method, noun, names):
    """The clause of each finding: dict."""
    searched = f"{len(weak.slices):,} {method} were searched"
    present, others = f"{searched}. Errors are more frequent in: {names}.", f"On rows that did not choose the {noun},"
    return {
        BEYOND: f"{present} {others} the excess is above {weak.excess}",
        UNCERTAIN: f"{present} Whether the excess is above {weak.excess} is open",
        WITHIN: f"{present} {others} the excess is below {weak.excess}",
        NONE: f"{searched}, and none has errors above the rest by more than {weak.excess}. Planted, {weak.planted}",
        TOO_FEW: f"{searched}, and none stands out. An excess of {weak.excess} is not ruled out. Planted, {weak.planted}",
    }
