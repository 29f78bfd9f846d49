"""Attribution graphs of a run: one picture an input, and the numbers of its nodes and edges."""

from dataclasses import replace

from lab import chunks
from lab.attribution.lrp import bounds_of
from lab.attribution_graph import attribution_graph
from lab.refusal import Refused
from recipes.job import Outcome
from recipes.mistakes import answers, part_classes
from recipes.report.figures import plot_png
from recipes.sections.explain import MOST_GRAPHS
from recipes.store import encode


def draw_graphs(job, _, session):
    """Follow relevance back from the score of each of the first inputs, and draw it.

    Args:
        job: `Job` with the arguments of `recipes.mistakes.answers`, "layers", "width", and lrp's "composite", "low" and "high".
        _: the inputs, not used.
        session: `Session`.

    Returns:
        `Outcome` with graphs.json and one PNG an input. Where the network is refused, the words stand in the place of graphs.
    """
    arguments = job.arguments
    subject = answers(session, **{name: arguments[name] for name in ("question", "only", "contrast")})
    options = {name: arguments[name] for name in ("layers", "width", "composite")}
    about = {
        **options,
        "low": arguments["low"],
        "high": arguments["high"],
        "names": subject.names[:MOST_GRAPHS],
        "count": len(subject.names),
        "graphs": [],
        "refused": None,
    }
    files = {}
    try:
        bounds = bounds_of(arguments["composite"], arguments["low"], arguments["high"])
        for row in range(len(about["names"])):
            row_inputs = chunks.take(subject.inputs, [row])
            graph = attribution_graph(
                session.network, row_inputs, subject.objective.rows([row]), bounds=bounds, **options
            )
            if arguments["contrast"]:
                words = part_classes(subject, "contrast")[row]
                graph = replace(graph, target=f"{words}, score {graph.score:.3g}")
            about["graphs"].append(_plain(graph))
            files[f"graph-{row:03d}.png"] = plot_png(graph.plot())
    except Refused as error:
        about |= {"refused": " ".join(str(error).split()), "graphs": []}
        files = {}
    return Outcome({**files, "graphs.json": encode(about)})


def _plain(graph):
    """A graph as plain values: dict."""
    return {
        "target": graph.target,
        "score": graph.score,
        "nodes": [{"layer": node.layer, "channel": node.channel, "relevance": node.relevance} for node in graph.nodes],
        "edges": [{"from": first, "to": second, "relevance": value} for (first, second), value in graph.edges.items()],
    }
