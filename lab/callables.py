"""Callables: a Python function of inputs as a network that can be asked for scores, and for nothing else.

network = lab.function(forest.predict_proba, frame)
lab.explain(network, rows, method="kernel_shap")
"""

import functools
import numbers
from dataclasses import dataclass

import numpy as np

from lab import class_names
from lab.data import Data
from lab.environment import keras, tf
from lab.host import HostModel, answer_within, as_float32, finite_scores
from lab.lookup import read_lookup
from lab.network import GIB, Network
from lab.preprocessing import linear_preprocessing
from lab.refusal import Refused
from lab.routines import are_probabilities
from lab.tables import from_frame, refuse_lost
from lab.text import from_texts

# Rows of the data that a function is tried on, at equal distances.
TRIED = 64
# How much of the range of scores float32 may lose.
LOST = 1e-3


def function(
    predict,
    data,
    *,
    classes=None,
    input_range=None,
    name=None,
    batch=4096,
    timeout=None,
    tolerance=1e-4,
    memory=2 * GIB,
):
    """A Python function made a network that has scores, but no gradients, layers or weights -> `Network`.

    The function may be the `predict_proba` of any library, or ask a server. It is tried on some rows of the data: on all together, in
    another order, and on one alone.

    Args:
        predict: function of inputs like `data`, -> numbers [rows] or [rows, units]. It is given what the data are: a frame of the same
            columns, a list of texts, or float32 and integer arrays in their structure.
        data: inputs that it takes: a pandas data frame, a list of texts, an array (structure) [rows, ...], or `lab.data.Data`.
            Rows of a table are its background; texts have the words of the data.
        classes: as of `lab.load`.
        input_range: (low, high), what black and white are in its images; None: as the images of `Data` are, 0 to 255.
        name: str; None: the name of the function.
        batch: int, rows of a call at most.
        timeout: float, seconds that a call may take; None: any number. What a function still does afterwards cannot be stopped.
        tolerance: float, how far two calls may differ, as a share of the range of the scores.
        memory: bytes of inputs that are made at once.

    Returns:
        `Network`, whose `capabilities` are ("scores",), and "trees" for a method of an ensemble of trees.

    Raises:
        Refused: for what is no function or no data, for text in a table, and for a function that raises, answers late, or returns
            other than finite numbers for every row, or not the same ones in each of these calls.
    """
    if not callable(predict) or isinstance(predict, (keras.Model, Network, type)):
        raise Refused(f"A function takes inputs and returns scores. Received: {_describe(predict)}.")
    name = name or _name_of(predict)
    taken = _read(data)
    score = functools.partial(_call, predict, taken)
    batch, timeout = _at_least_one(batch), _seconds(timeout)
    answers = _try(score, taken, name, timeout, _share(tolerance), batch)
    model = HostModel(
        score,
        answers,
        title=name,
        batch=batch,
        timeout=timeout,
        owner=_tree_model(predict),
        are_probabilities=are_probabilities(answers),
        texts=taken.texts,
    )
    network = Network(
        model,
        name=name,
        spec=tf.nest.map_structure(_spec, taken.arrays),
        preprocessing=_preprocessing(taken.arrays, input_range, taken.raw),
        columns=taken.columns,
        tokenizer=taken.tokenizer,
        memory=memory,
        fold=False,
        jit=False,
    )
    if classes is not None:
        network.classes = class_names.match_outputs(class_names.read(classes), network.outputs)
    if network.table_place is not None and len(network.places()) == 1 and len(taken.arrays) > 1:
        network.background = network.check_background(taken.arrays)
    return network


@dataclass(frozen=True)
class _Taken:
    """What a function takes.

    Args:
        arrays: the data as arrays, in their structure.
        convert: function of such arrays -> what the function is given.
        columns: list of str, or None.
        tokenizer: `lab.tokenizer.Tokenizer` of texts, or None.
        raw: whether the arrays are images in 0 to 255.
        texts: the texts that the arrays are the ids of, or None.
    """

    arrays: object
    convert: object = staticmethod(lambda arrays: arrays)
    columns: list | None = None
    tokenizer: object = None
    raw: bool = False
    texts: tuple | None = None


def _read(data):
    """Data as a function takes them: `_Taken`."""
    if hasattr(data, "columns") and hasattr(data, "to_numpy"):
        table, names = from_frame(data), data.columns
        return _Taken(table.inputs, lambda rows: type(data)(rows, columns=names), list(table.columns))
    if isinstance(data, (list, tuple)) and data and all(isinstance(entry, str) for entry in data):
        return _read_texts(from_texts(data).inputs)
    if isinstance(data, Data):
        if data.kind == "text":
            return _read_texts(data.inputs)
        return _Taken(_array(data.inputs), columns=list(data.columns) or None, raw=data.kind == "image")
    arrays = tf.nest.map_structure(_array, data)
    if len({len(leaf) for leaf in tf.nest.flatten(arrays)}) > 1:
        raise Refused(
            f"All inputs have as many rows. Received: {[len(leaf) for leaf in tf.nest.flatten(arrays)]}. Give them as a dict or a list of arrays [rows, ...]."
        )
    return _Taken(arrays)


def _read_texts(texts):
    """Texts as ids of their words, in the order in which they occur. A function is given the words with spaces between them."""
    words = list(dict.fromkeys(word for text in texts for word in text.split()))
    lookup = keras.layers.TextVectorization(
        standardize=None, vocabulary=words, output_sequence_length=max(len(text.split()) for text in texts)
    )
    names = np.array(lookup.get_vocabulary(), object)

    def convert(ids):
        return [" ".join(names[row[row > 0]]) for row in ids]

    tokenizer = read_lookup(lookup)
    ids = tokenizer.encode(texts, None).ids.astype("int32")
    return _Taken(ids, convert, tokenizer=tokenizer, texts=tuple(texts))


def _array(values):
    """An input as an array [rows, ...] of float32 or of whole numbers."""
    try:
        array = np.asarray(values if isinstance(values, np.ndarray) else list(values))
    except (TypeError, ValueError) as error:
        raise Refused(
            f"Data are arrays [rows, ...] of one shape. Received: {type(values).__name__}: {error}."
        ) from error
    if array.dtype.kind not in "fiub" or array.ndim < 2 or not len(array):
        raise Refused(
            f"Data are numbers [rows, ...], at least one row. Received: {array.dtype} of shape {array.shape}. Write categories as numbers, and turn them back in the function."
        )
    if array.dtype.kind in "iu" and array.ndim < 3:
        return array.astype("int32")
    if array.ndim == 2:
        refuse_lost(array.astype("float64"), [f"column {place}" for place in range(array.shape[1])], "the data")
    return array.astype("float32")


def _spec(leaf):
    return tf.TensorSpec([None, *leaf.shape[1:]], leaf.dtype)


def _call(predict, taken, *leaves):
    return predict(taken.convert(tf.nest.pack_sequence_as(taken.arrays, list(leaves))))


def _try(score, taken, name, timeout, tolerance, batch):
    """The scores of some rows: float32 [rows, units].

    Raises:
        Refused: where they differ when the rows are asked again in another order, or the first one alone; where texts are not known by
            their words alone; and where float32 loses what scores differ by.
    """
    count = len(tf.nest.flatten(taken.arrays)[0])
    places = np.linspace(0, count - 1, min(TRIED, batch, count)).astype(int)
    leaves = [leaf[places] for leaf in tf.nest.flatten(taken.arrays)]

    def ask(rows):
        arrays = [leaf[rows].copy() for leaf in leaves]
        return finite_scores(answer_within(timeout, score, arrays, name), len(arrays[0]), None, name)

    first = ask(slice(None))
    _refuse_lost_scores(first, name)
    bar = tolerance * max(float(np.ptp(first)), float(np.abs(first).max()) * np.finfo("float32").eps)
    _refuse_other(first, ask(slice(None, None, -1))[::-1], bar, name, "the same rows in another order")
    _refuse_other(first[:1], ask(slice(1)), bar, name, "a row alone")
    if taken.texts is not None:
        texts = [taken.texts[place] for place in places]
        whole = finite_scores(answer_within(timeout, score.args[0], [texts], name), len(texts), None, name)
        _refuse_other(first, whole, bar, name, "texts with one space between words")
    return as_float32(first, name)


def _refuse_lost_scores(scores, name):
    """Raise Refused where float32 loses what scores differ by, such as beside a large constant."""
    lost, spread = np.abs(as_float32(scores, name) - scores).max(axis=0), np.ptp(scores, axis=0)
    if ((lost > LOST * spread) & (spread > 0)).any():
        raise Refused(
            f"Scores are kept as float32, about seven digits. Received: scores of {name} that differ by {spread.max():.3g} around {scores.mean():.6g}. Subtract a constant from them."
        )


def _refuse_other(first, second, bar, name, what):
    """Raise Refused where two answers of a function differ by more than a bar."""
    if first.shape != second.shape:
        raise Refused(
            f"A function returns as many numbers for every call. Received: {first.shape} and {second.shape} from {name}."
        )
    difference = float(np.abs(first - second).max())
    if difference > bar:
        raise Refused(
            f"A function returns the same scores for the same inputs, whatever stands beside them. Received: {name}, whose scores of {what} differ by {difference:.3g}. Fix its seed, or give a tolerance= above {difference / (float(np.ptp(first)) or difference):.2g}."
        )


def _preprocessing(arrays, input_range, raw):
    """How images of 0 to 255 become inputs, where the one input is images: `Preprocessing`, or None."""
    leaf = tf.nest.flatten(arrays)[0]
    if input_range is None and not raw:
        return None
    if leaf.ndim != 4:
        raise Refused(f"input_range= is for functions of images. Received: inputs of shape {leaf.shape}.")
    return linear_preprocessing(*(input_range or (0, 255)), leaf.shape[-1])


# Libraries whose ensembles of trees have exact values.
_TREE_LIBRARIES = ("sklearn.ensemble", "sklearn.tree", "xgboost", "lightgbm", "catboost")


def _tree_model(predict):
    """The ensemble of trees that a function is a method of, or None."""
    owner = getattr(_unwrap(predict), "__self__", None)
    homes = [kind.__module__ for kind in type(owner).__mro__]
    return owner if any(home.startswith(_TREE_LIBRARIES) for home in homes) else None


def _seconds(timeout):
    if timeout is not None and (isinstance(timeout, bool) or not isinstance(timeout, numbers.Real) or not timeout > 0):
        raise Refused(f"timeout= is a number of seconds above 0. Received: {timeout!r}.")
    return timeout


def _share(tolerance):
    if isinstance(tolerance, bool) or not isinstance(tolerance, numbers.Real) or not tolerance >= 0:
        raise Refused(f"tolerance= is a share of the range of scores, 0 or more. Received: {tolerance!r}.")
    return tolerance


def _at_least_one(batch):
    if isinstance(batch, bool) or not isinstance(batch, (int, np.integer)) or batch < 1:
        raise Refused(f"batch= is a whole number of rows, 1 or more. Received: {batch!r}.")
    return int(batch)


def _unwrap(predict):
    """The function below `functools.partial`."""
    while isinstance(predict, functools.partial):
        predict = predict.func
    return predict


def _name_of(predict):
    """A name of a function that a model may have: str."""
    predict = _unwrap(predict)
    owner = getattr(predict, "__self__", None)
    part = getattr(predict, "__name__", type(predict).__name__)
    name = part if owner is None else f"{type(owner).__name__}.{part}"
    return "function" if "<" in name else name


def _describe(predict):
    if isinstance(predict, (keras.Model, Network)):
        return "a Keras model, which has gradients too: use lab.load(model)"
    if isinstance(predict, type):
        return f"the class {predict.__name__}; give the method of a fitted one, such as model.predict_proba"
    methods = [name for name in ("predict_proba", "predict") if hasattr(predict, name)]
    hint = f"; give its method {methods[0]}" if methods else ""
    return f"{type(predict).__name__}{hint}"
