"""Embedding slices: the error inside each cluster beside that elsewhere, as intervals."""

from recipes.report.audited.slices import draw_errors


def figures(evidence):
    """Pictures of the clusters that stand out.

    Args:
        evidence: `sanity.evidence.Evidence` of `embedding_slices`.

    Returns:
        list of (title, SVG text), empty where no cluster stands out.
    """
    return draw_errors(evidence, "Clusters with more errors", "cluster")
