"""Explanation: an explainer's maps, the options and layer that were used, and what is suspicious about them."""

import functools
import html
import itertools
from dataclasses import dataclass, field

import numpy as np

from lab import displays, routines
from lab.attribution import explainers
from lab.attribution.calls import baseline_options, estimate, resolve_options
from lab.attribution.paths import baselines
from lab.attribution.references import without_fills
from lab.embeddings import options_to_embeddings, to_embeddings
from lab.environment import tf
from lab.network import refuse_no_network
from lab.objectives import OUTPUTS
from lab.refusal import Refused
from lab.registry import options as known_options
from lab.targets import as_objective, captions
from lab.words import as_html, strongest, words_of


@dataclass(frozen=True)
class Explanation:
    """An explainer's maps with what was decided on the way and what is suspicious about them.

    Args:
        maps: float32 in the structure of the inputs, or [batch, rows, columns].
        scores: float32 [batch], the scores that were explained.
        target: the objective in words.
        layer: the address of the layer that was looked at, a list of several, or None.
        gap: float32 [batch], the sum of the map minus the score's difference to the baseline; None for methods
            that do not promise completeness.
        flags: per sample, a tuple of words: "not finite", "all zero", "constant", and what `map_warnings` finds.
        head: the activation that was taken off the output ("Softmax", ...), or None.
        method: the name of the method that ran.
        options: dict of the options that it ran with.
        inputs: what was explained, as the network takes it.
        network: the `Network`.
        captions: per sample, the target with its score and probability, the flags, and the largest standard error.
        columns: names of a table's columns, where the network or a data frame of inputs names them, else None.
        objective: the `Objective` that was explained.
        explainer: the method's function.
        settings: dict of all options that it ran with, arrays included.
        errors: float32 in the structure of the maps, the standard error of every number: 0 where it is exact, NaN where too
            little was drawn to know. 1.96 of them to each side make an interval of 95 %. None for methods that state none.
        samples: int [batch], scores that were computed for each sample's map, where errors are stated; else None.
        error_words: per sample, the largest standard error in words; None where none is stated.
        tokens: per text, a tuple of `lab.tokenizer.Token`; None for inputs that are no text, or whose tokenizer is not known.
        fits: float64 [batch], for a method that fits a model around each sample: the share of the score's variance there that
            the model explains (R2), NaN for a sample without parts. Else None.
    """

    maps: object
    scores: np.ndarray
    target: str
    layer: str | list | None
    gap: np.ndarray | None
    flags: tuple
    head: str | None
    method: str
    options: dict = field(default_factory=dict)
    inputs: object = field(default=None, repr=False, compare=False)
    network: object = field(default=None, repr=False, compare=False)
    captions: tuple = ()
    columns: tuple | None = None
    objective: object = field(default=None, repr=False, compare=False)
    explainer: object = field(default=None, repr=False, compare=False)
    settings: dict = field(default_factory=dict, repr=False, compare=False)
    errors: object = None
    samples: np.ndarray | None = None
    error_words: tuple | None = None
    tokens: tuple | None = None
    fits: np.ndarray | None = None

    @functools.cached_property
    def words(self):
        """The map of each text by word, the numbers of a word's tokens added and special tokens apart.

        Returns:
            list of tuples of `lab.words.Word`; None for other inputs, and for maps that are not over tokens.
        """
        maps = self.token_maps
        return None if maps is None else [words_of(*row) for row in zip(self.tokens, maps)]

    @property
    def token_maps(self):
        """The map of each text over its tokens: float32 [texts, tokens], or None where there is none."""
        if self.tokens is None:
            return None
        leaves, place = tf.nest.flatten(self.maps), self.network.main_place
        maps = leaves[place] if len(leaves) > 1 else leaves[0]
        return maps if maps.shape == tf.nest.flatten(self.inputs)[place].shape else None

    @property
    def plot(self):
        """Pictures: `record.plot()` shows samples beside their maps, `record.plot.waterfall(0)` and others what `shap` shows.

        Returns:
            `lab.record_plots.RecordPlots`.
        """
        from lab.record_plots import RecordPlots

        return RecordPlots(self)

    @functools.cached_property
    def baseline_scores(self):
        """The score of each sample's baseline, from which a complete method's map counts: float64 [batch].

        Of a method without a baseline it is the score of the mean row of the network's background, else of zeros.
        """
        if self.gap is not None:
            return self.scores - (total(self.maps) - self.gap)
        # What an external method calls a baseline may be anything.
        settings = self.settings if self.method in explainers else {}
        options = baseline_options(self.network, settings)
        target = completeness_target(self.explainer, self.network, self.inputs, self.objective, options)
        return self.scores - target

    @functools.cached_property
    def conservation(self):
        """How much relevance arrives at each layer that all of it goes through, computed when it is first asked for.

        Returns:
            dict of address to float32 [batch], the last layer first and "inputs" last; None for methods without relevance.
        """
        conserved = explainers.tag(self.explainer, "conserved")
        if conserved is None:
            return None
        embedded, arrays = to_embeddings(self.network, self.inputs)
        settings = {**known_options(self.explainer), **self.settings}
        return conserved(embedded, arrays, self.objective, options_to_embeddings(self.network, settings))

    def __repr__(self):
        rows = [(str(row), caption) for row, caption in enumerate(self.captions[: displays.SHOWN])]
        more = len(self.captions) - displays.SHOWN
        return displays.as_text(
            f"Explanation of {self.target} by {self.method}",
            [*rows, *([("...", f"and {more} more")] if more > 0 else [])],
        )

    def _repr_html_(self):
        """The texts with their colours, as a notebook shows them; None for other inputs, whose plot it shows."""
        if self.words is None:
            return None
        return "".join(
            f"<p><b>{html.escape(caption)}</b></p>{as_html(words, strongest(words))}"
            for caption, words in itertools.islice(zip(self.captions, self.words), displays.SHOWN)
        )

    def _repr_mimebundle_(self, **_):
        """What a notebook shows: coloured words, or the plot, or why there is none."""
        if self.words is not None:
            return {"text/plain": repr(self), "text/html": self._repr_html_()}
        try:
            return self.plot()._repr_mimebundle_()
        except Refused as refusal:
            return {"text/plain": f"{self.method}: {self.target}. {refusal}"}


def explain(network, inputs, objective="top", *, method, seed=0, **options):
    """Explain an objective on inputs by a method.

    Args:
        network: a `Network`, as `lab.load` returns it.
        inputs: arrays in the structure and shape that the network takes; or a list of texts, for a network with a tokenizer.
        objective: "top", each sample's own highest class; the name or index of a class, or a list with one per sample; or
            an `Objective`, such as `lab.logit(3) - lab.logit(5)`.
        method: a registered name, or any callable `(network, inputs, objective, ...)` -> maps.
        seed: a whole number, used by methods that draw and recorded.
        options: the options of the method, by name.

    Returns:
        `Explanation`.

    Raises:
        Refused: for an unknown method or option, and for what the method refuses.
        MethodFault: for a method that misbehaves (`lab.isolation`) or does not return a map.
    """
    refuse_no_network(network)
    explainer = explainers.get(method)
    settings = resolve_options(explainer, network, seed, options)
    arrays = network.inputs(inputs)
    network.warn_of_range(arrays)
    objective = as_objective(network, arrays, objective)
    estimated = estimate(explainer, network, arrays, objective, **settings)
    return _record(explainer, network, inputs, arrays, objective, settings, estimated)


def _record(explainer, network, inputs, arrays, objective, settings, estimated):
    """An `Explanation` of what was estimated, with what is suspicious about it."""
    computed = _class_outputs(network, arrays, objective)
    scores = routines.scores(network, arrays, objective, computed=computed)
    doubts = map_warnings(explainer, network, arrays, objective, computed=computed)
    sample_flags = tuple(sum(words, ()) for words in zip(flags(estimated.values), fit_flags(estimated), doubts))
    words, error_words = captions(network, arrays, objective, scores, sample_flags, computed=computed), None
    if estimated.errors is not None:
        error_words = _error_words(estimated)
        words = map(", ".join, zip(words, error_words))
    output = _output_name(network, objective)
    return Explanation(
        maps=estimated.values,
        scores=scores,
        target=str(objective),
        layer=settings.get("layer"),
        gap=_gap(explainer, network, arrays, objective, settings, estimated.values),
        flags=sample_flags,
        head=network.heads[output] if output else None,
        method=explainers.name(explainer),
        options=_describe_options(explainer, settings),
        inputs=arrays,
        network=network,
        captions=tuple(words),
        columns=_column_names(network, inputs),
        objective=objective,
        explainer=explainer,
        settings=settings,
        errors=estimated.errors,
        samples=estimated.samples,
        error_words=error_words,
        fits=estimated.fits,
        tokens=None if (tokens := network.tokens(arrays)) is None else tuple(tokens),
    )


def _gap(explainer, network, inputs, objective, settings, maps):
    """What the sum of each map lacks of what it promises: float32 [batch], or None for a method that promises nothing."""
    if not explainers.tag(explainer, "complete"):
        return None
    return (total(maps) - completeness_target(explainer, network, inputs, objective, settings)).astype("float32")


def _column_names(network, inputs):
    """The names of a table's columns, where the network or a data frame has them: tuple of str, or None."""
    names = network.columns or (inputs.columns if hasattr(inputs, "iloc") else None)
    return None if names is None else tuple(map(str, names))


def _error_words(estimated):
    """The largest standard error of each sample in words: tuple of str."""
    pairs = zip(estimated.largest, estimated.samples)
    return tuple(f"{_error_in_words(error)} ({count} scores)" for error, count in pairs)


def _error_in_words(error):
    if np.isnan(error):
        return "standard error not known"
    return f"standard error at most {error:.2g}" if error else "standard error 0"


def _class_outputs(network, inputs, objective):
    """The network's outputs, where the objective is of an output with one score a class; else None."""
    name = _output_name(network, objective)
    return None if name is None or len(network.outputs[name]) > 2 else routines.outputs(network, inputs)


def completeness_target(explainer, network, inputs, objective, options):
    """What a complete method's map should add up to: the score minus the mean score of its baselines.

    A method that does not promise completeness is compared with the baseline that it names, or with zero.

    Args:
        explainer: a function `(network, inputs, objective, **options)`.
        network: a `Network`.
        inputs: arrays that it takes.
        objective: an `Objective`.
        options: dict of all options of the explainer, as of `resolve_options`.

    Returns:
        float64 [batch].
    """
    options = without_fills(network, options)
    embedded, arrays = to_embeddings(network, inputs)
    references = explainers.tag(explainer, "complete", baselines)(arrays, options_to_embeddings(network, options))
    reference_score = np.mean(
        [
            routines.scores(embedded, embedded.keep(arrays, reference), objective).astype("float64")
            for reference in references
        ],
        axis=0,
    )
    return routines.scores(embedded, arrays, objective) - reference_score


def total(maps):
    """The sum of each sample's map.

    Returns:
        float64 [batch].
    """
    return sum(leaf.reshape(len(leaf), -1).sum(axis=1, dtype="float64") for leaf in tf.nest.flatten(maps))


# Below this share of the variance a model does not describe the score around a sample.
FIT = 0.5


def fit_flags(estimated):
    """Which samples a method's model does not describe: per sample, a tuple of words.

    Args:
        estimated: `lab.estimates.Estimate` of maps.

    Returns:
        tuple over samples.
    """
    if estimated.fits is None:
        return ((),) * len(tf.nest.flatten(estimated.values)[0])
    words = f"the fit explains less than {FIT:.0%} of the score nearby"
    return tuple((words,) if fit < FIT else () for fit in estimated.fits)


# A probability above this hardly changes with its logit.
SATURATED = 0.999


def map_warnings(explainer, network, inputs, objective, *, computed=None):
    """What makes explaining this objective of this network doubtful, whatever the map.

    "saturated softmax": the class has a probability above .999, so that its changes say nothing.
    "head not linear": the score leaves through an activation that is not taken off.
    "a softmax that could not be taken off": the scores add up to one. The model is closed, or another softmax follows.
    "a sigmoid that could not be taken off": the scores of a closed model lie in 0..1.
    "plain through ...": a gradient rule does not reach this activation.
    A method adds its own warnings in the tag `map_warnings`: (network, inputs, objective) -> tuple over samples.

    Args:
        explainer: a function `(network, inputs, objective, **options)`.
        network: a `Network`.
        inputs: arrays that it takes.
        objective: an `Objective`.
        computed: dict of output name to array, the network's outputs where they are known; None: computed here.

    Returns:
        tuple over samples of tuples of words.
    """
    method_warnings = explainers.tag(explainer, "map_warnings")
    network_warnings = _network_warnings(explainer, network, inputs, objective, computed)
    return (
        network_warnings
        if method_warnings is None
        else tuple(map(sum, zip(network_warnings, method_warnings(network, inputs, objective)), itertools.repeat(())))
    )


def _network_warnings(explainer, network, inputs, objective, computed):
    always = tuple(_constant_warnings(explainer, network, objective))
    name, batch = _output_name(network, objective), len(tf.nest.flatten(inputs)[0])
    if name is None or len(network.outputs[name]) > 2:
        return (always,) * batch
    computed = routines.outputs(network, inputs) if computed is None else computed
    if "gradients" in network.capabilities:
        always += _remaining_activation(computed[name].reshape(batch, -1), network.closed[name])
    if network.heads[name] is None:
        return (always,) * batch
    saturated = routines.class_probability(network, inputs, objective, computed=computed) > SATURATED
    return tuple((*always, *(["saturated softmax"] if is_saturated else [])) for is_saturated in saturated)


def _remaining_activation(scores, closed):
    """Words for a softmax or sigmoid that is still on scores [batch, classes], where the scores show it: tuple of str."""
    if not ((scores >= 0) & (scores <= 1)).all():
        return ()
    if scores.shape[1] > 1 and np.allclose(scores.sum(axis=1), 1, atol=1e-3):
        return ("a softmax that could not be taken off",)
    return ("a sigmoid that could not be taken off",) if closed else ()


def _constant_warnings(explainer, network, objective):
    name = _output_name(network, objective)
    if name is not None and network.ends[name] not in (None, network.heads[name]):
        yield f"head not linear: {network.ends[name]}"
    if explainers.tag(explainer, "rule"):
        yield from (f"plain through {activation}" for activation in network.smooth_activations())


def _output_name(network, objective):
    """The name of the output whose logits an objective uses, or None where it uses none."""
    outputs_asked = [term.where for _, term in objective.terms if term.kind in OUTPUTS]
    return (outputs_asked[0] or next(iter(network.heads))) if outputs_asked else None


def flags(maps):
    """What is suspicious about each sample's map.

    Returns:
        tuple over samples of tuples of words.
    """
    return tuple(tuple(_map_flags(rows)) for rows in zip(*tf.nest.flatten(maps)))


def _map_flags(leaves):
    values = np.concatenate([np.ravel(leaf) for leaf in leaves])
    if not np.isfinite(values).all():
        yield "not finite"
    elif not values.any():
        yield "all zero"
    elif values.min() == values.max():
        yield "constant"


def _describe_options(explainer, options):
    looped = {"asked": "one sample at a time"} if getattr(explainer, "looped", False) else {}
    return {name: _describe_option(value) for name, value in options.items()} | looped


def _describe_option(value):
    """The value of an option; of arrays their shapes."""
    leaves = tf.nest.flatten(value)
    if isinstance(value, (list, tuple, dict)) and any(np.ndim(leaf) for leaf in leaves):
        return f"arrays {', '.join(str(np.shape(leaf)) for leaf in leaves)}"
    return value if np.ndim(value) == 0 else f"array {np.shape(value)}"
