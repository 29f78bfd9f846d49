"""Answers: what a network takes, and its logits and activations of many inputs, a chunk at a time."""

import numpy as np

from lab import routines
from lab.environment import tf
from lab.refusal import Refused
from lab.scoring import mean_over_positions
from sanity.audit.signature import Signature
from sanity.untrained import untrained_weights

# Activations of a row that are kept, as components where there are more.
CHANNELS = 64
# Inputs that lie in memory at a time where they are no tables.
CHUNK = 256
# Rows of a table that a question asks about at a time: they are small, and many.
TABLE_CHUNK = 8192


def signature_of(network, sheet):
    """What a network takes and answers with.

    Args:
        network: `lab.network.Network`.
        sheet: `Sheet`. Two levels of the label make one unit two classes.

    Returns:
        `Signature`.

    Raises:
        Refused: for a network whose answers are neither classes nor one number.
    """
    name = network.output_name()
    if len(network.outputs[name]) not in (1, 2):
        raise Refused(
            f"An audit asks a network of classes, or of one number. Received: {network.name} with the output {network.outputs[name]}."
        )
    kind, width = _kind_and_width(network)
    label = sheet.one("label")
    count = 2 if network.classes_in() == 1 and label and len(sheet.column(label).levels) == 2 else network.classes_in()
    classes = tuple(network.names_in() or ())
    return Signature(kind, width, tuple(network.columns or ()), count, classes, network.name)


def _kind_and_width(network):
    if network.tokenizer is not None or network.text_inputs:
        return "text", None
    if network.table_place is not None and len(network.places()) == 1:
        return "table", int(network.places()[0][1].shape[1])
    if network.image_place is not None:
        return "image", None
    return "series", None


def last_activations(network):
    """The address of the layer before the outputs, or None where the network has none or tells no activations.

    Args:
        network: `lab.network.Network`.

    Returns:
        str or None.
    """
    if "layers" not in network.capabilities:
        return None
    try:
        return network.last_hidden()
    except Refused:
        return None


def answer(network, inputs, count, *, activations=True, most=None):
    """The logits of inputs, and their activations before the output layer.

    Args:
        network: `lab.network.Network`.
        inputs: arrays that it takes, or list of str for a network of texts.
        count: int, how many classes it tells, 1 for a number.
        activations: bool, whether these are computed too.
        most: int, rows of a chunk; None: what the memory budget allows.

    Returns:
        float64 [rows, classes], of a regression [rows, 1]; float32 [rows, channels], or None.
    """
    path = last_activations(network) if activations else None
    inputs = network.inputs(inputs)

    def body(batched, _):
        trace = network.trace(batched[0], [path] if path else [])
        values = {f"output {name}": tf.cast(trace.logits(name), tf.float32) for name in trace.outputs}
        return values | ({"hidden": mean_over_positions(tf.cast(trace.activations[path], tf.float32))} if path else {})

    values = routines.run(network, ("answers", path), body, (inputs,), (), most=most)
    hidden = values.pop("hidden", None)
    computed = {name.removeprefix("output "): value for name, value in values.items()}
    return logits_of(network, inputs, computed, count), hidden


def can_be_untrained(network):
    """Whether a network has activations and weights that can be drawn anew: bool.

    Args:
        network: `lab.network.Network`.
    """
    return "weights" in network.capabilities and last_activations(network) is not None


def untrained_activations(network, inputs, count, state):
    """Activations before the output layer of an untrained network of the same architecture.

    Args:
        network: `lab.network.Network`.
        inputs: as of `answer`.
        count: int, how many classes it tells, 1 for a number.
        state: dict of variable name to array, as of `untrained_state`.

    Returns:
        float32 [rows, channels].
    """
    with network.weights(state):
        return answer(network, inputs, count)[1]


def untrained_state(network, inputs, place, *, seed):
    """Weights of an untrained network, with normalization that fits some inputs.

    Args:
        network: `lab.network.Network`.
        inputs: as of `answer`, a few.
        place: int, which of several untrained networks.
        seed: int, of all of them.

    Returns:
        dict of variable name to array.
    """
    return untrained_weights(network, network.inputs(inputs), place, seed=seed)


def stack_untrained(activations):
    """Activations of several untrained networks side by side, each in the directions in which they vary most.

    Args:
        activations: list of float32 [rows, channels].

    Returns:
        float32 [rows, networks, at most CHANNELS], without networks whose activations are not finite, as weights that were drawn anew
            may make them; None where there are none.
    """
    finite = [hidden for hidden in activations if np.isfinite(hidden).all()]
    if not finite:
        return None
    reduced = [reduce_channels(hidden, components_of(hidden)).astype("float32") for hidden in finite]
    return np.stack(reduced, axis=1)


def logits_of(network, inputs, computed, count):
    """The logits of a network's answers.

    Args:
        network: `lab.network.Network`.
        inputs: arrays that it takes.
        computed: dict of output name to float32 [rows, ...], its answers.
        count: int, how many classes it tells, 1 for a number.

    Returns:
        float64 [rows, classes], of a regression [rows, 1].
    """
    name = network.output_name()
    if count == 1:
        return np.asarray(computed[name], "float64").reshape(-1, 1)
    return np.asarray(routines.class_logits(network, inputs, computed=computed), "float64")


def predictor(network, count):
    """A function of inputs that gives logits.

    Args:
        network: `lab.network.Network`.
        count: int, how many classes it tells, 1 for a number.

    Returns:
        float32 [rows, inputs] -> float64 [rows, classes].
    """

    def predict(inputs):
        return answer(network, np.asarray(inputs, "float32"), count, activations=False, most=TABLE_CHUNK)[0]

    return predict


def components_of(hidden, channels=CHANNELS):
    """The directions in which activations vary most, where there are more channels than are kept.

    Args:
        hidden: float32 [rows, channels], of the test rows.
        channels: int.

    Returns:
        dict of mean and directions, float32; empty where nothing has to be left out.
    """
    if hidden is None or hidden.shape[1] <= channels:
        return {}
    from sklearn.decomposition import PCA

    count = min(channels, len(hidden))
    fitted = PCA(count, svd_solver="covariance_eigh" if hidden.shape[1] <= 2048 else "randomized", random_state=0)
    fitted.fit(hidden.astype("float64"))
    return {"mean": fitted.mean_.astype("float32"), "directions": fitted.components_.astype("float32")}


def reduce_channels(hidden, components):
    """Activations in the directions of `components_of`.

    Args:
        hidden: float32 [rows, channels].
        components: dict, as of `components_of`.

    Returns:
        float32 [rows, at most CHANNELS].
    """
    return (hidden - components["mean"]) @ components["directions"].T if components else hidden
