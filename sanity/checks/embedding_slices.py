"""Embedding slices: does the network err more in some cluster of its activations than elsewhere, by more than the margin?

Clusters are a matter of the activations alone, and know neither labels nor errors. So errors may be exchanged over all of them at
once, and no half of the rows is spent on choosing (compare Eyuboglu et al. 2022, https://arxiv.org/abs/2203.14960).
"""

import numpy as np

from sanity.audit.clusters import central_rows, fit_clusters, frequent_conditions, list_clusters, other_rows
from sanity.audit.copies import TRIES
from sanity.audit.margin import margin_words, register_margin_rule
from sanity.audit.weak_evidence import search_gates, size_gate, weak_evidence
from sanity.audit.weak_slices import find_weak_slices
from sanity.checks import checks
from sanity.evidence import Evidence, Gate
from sanity.ruling import About
from sanity.seeds import derive_seed

ALL = "clusters of activations"


@checks.register(claim="data", question="failures")
def embedding_slices(subject, *, seed, draws=999, tries=TRIES, beyond="label"):
    """In which clusters of its activations does the network err more than elsewhere?

    Args:
        subject: `sanity.audit.rows.AuditSubject`.
        seed: int.
        draws: int, exchanges of errors between units.
        tries: int, null copies, and planted ones of each size.
        beyond: "label", so that a hard class is not found again; "confidence", for the predicted class and its probability;
            or "none".

    Returns:
        list of one `Evidence`, with the clusters that stand out in its settings, and rows that show them in its samples.
    """
    rows = subject.test.take(subject.test.labelled)
    gates = (_features_gate(rows),)
    if gates[0].status == "passed":
        gates += search_gates(subject, rows)
    if all(gate.status == "passed" for gate in gates):
        members, centrality = fit_clusters(rows, seed=derive_seed(seed, "clusters"))
        clusters = list_clusters(members, rows.units)
        gates += (size_gate(clusters, "clusters"),)
    if any(gate.status != "passed" for gate in gates):
        return [Evidence("embedding_slices", ALL, subject.title, subject.sizes, {}, gates)]
    settings = {"seed": seed, "draws": draws, "tries": tries, "beyond": beyond}
    weak = find_weak_slices(clusters, rows, alpha=subject.alpha, **settings)
    return [
        weak_evidence(
            "embedding_slices",
            ALL,
            "cluster",
            subject,
            weak,
            names=", ".join(weak.slices.name(place) for place in weak.weakest),
            gates=gates,
            samples=_samples(weak, centrality, np.flatnonzero(subject.test.labelled), seed),
            settings=settings,
            tables={"Clusters with more errors": weak.table(), **_frequent(weak, subject, seed)},
        )
    ]


def _features_gate(rows):
    if rows.features is None:
        words = "activations before the output layer are not known; name the layer that they are read from"
        return Gate("activations are known", "not applicable", words)
    count = int((~np.isfinite(rows.features).all(axis=1)).sum())
    words = f"activations of {count:,} of {len(rows):,} rows are no finite numbers"
    return Gate("activations are finite", "failed" if count else "passed", words)


def _samples(weak, centrality, places, seed):
    """Clusters with places of their most central rows, and of as many others, among all tested rows: dict of arrays."""
    samples = {"places": places}
    for number, mask in enumerate(weak.masks):
        samples[f"central/{number}"] = places[central_rows(mask, centrality)]
        samples[f"others/{number}"] = places[other_rows(mask, seed=derive_seed(seed, "others", number))]
    return samples


def _frequent(weak, subject, seed):
    """A table of what is frequent in each cluster that stands out: dict of title to list of dict."""
    tables = {}
    for number, (place, mask) in enumerate(zip(weak.weakest, weak.masks)):
        frequent = frequent_conditions(mask, weak.rows, alpha=subject.alpha, seed=derive_seed(seed, "frequent", number))
        name = weak.slices.name(place)
        tables[f"Frequent in {name}"] = [
            {"name": _with_class_name(condition, subject.classes), "inside": inside, "elsewhere": outside}
            for condition, inside, outside in frequent
        ]
    return tables


def _with_class_name(condition, classes):
    """A condition, with a predicted class by its name: str."""
    start = "predicted class = "
    return f"{start}{classes[int(condition[len(start) :])]}" if condition.startswith(start) and classes else condition


register_margin_rule(
    "embedding_slices",
    "WEAK CLUSTER",
    About(
        "Errs evenly over clusters",
        "largest excess error",
        margin_words("WEAK CLUSTER"),
        number="error inside less error outside",
        similarity="mean error inside a cluster less that outside, each within its label, of the cluster that stands out most on one half of the units, measured on the other half",
        sampled=False,
        better="lower",
        counted={"rows": "rows", "units": "units"},
        cannot="Cannot conclude: what the rows of a cluster have in common, or why errors are more frequent there. Rows near the border of two classes err more in any network.",
    ),
)
