"""Attribution graphs of a run: one picture an input, and the numbers of its nodes and edges."""

from dataclasses import replace

from lab import chunks
from lab.attribution.lrp import bounds_of
from lab.attribution_graph import attribution_graph
from lab.refusal import Refused
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
        dict of graphs.json and one PNG an input. Where an input is refused, the words stand in the place of its graph.
    """
    subject = answers(session, **{name: job.arguments[name] for name in ("question", "only", "contrast")})
    names, graphs, files = subject.names[:MOST_GRAPHS], [], {}
    for row in range(len(names)):
        try:
            graph = _graph_of(session.network, subject, row, job.arguments)
        except Refused as error:
            graphs.append({"refused": " ".join(str(error).split())})
            continue
        graphs.append({"refused": None, **_plain(graph)})
        files[f"graph-{row:03d}.png"] = plot_png(graph.plot())
    settings = {name: job.arguments[name] for name in ("layers", "width", "composite", "low", "high")}
    about = {**settings, "names": names, "count": len(subject.names), "graphs": graphs}
    return {**files, "graphs.json": encode(about)}


def _graph_of(network, subject, row, arguments):
    """The attribution graph of one input; of a contrast it names both classes."""
    options = {name: arguments[name] for name in ("layers", "width", "composite")}
    bounds = bounds_of(arguments["composite"], arguments["low"], arguments["high"])
    inputs, objective = chunks.take(subject.inputs, [row]), subject.objective.rows([row])
    graph = attribution_graph(network, inputs, objective, bounds=bounds, **options)
    if not arguments["contrast"]:
        return graph
    return replace(graph, target=f"{part_classes(subject, 'contrast')[row]}, score {graph.score:.3g}")


def _plain(graph):
    """A graph as plain values: dict."""
    return {
        "target": graph.target,
        "score": graph.score,
        "nodes": [{"layer": node.layer, "channel": node.channel, "relevance": node.relevance} for node in graph.nodes],
        "edges": [{"from": first, "to": second, "relevance": value} for (first, second), value in graph.edges.items()],
    }
