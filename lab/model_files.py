"""Model files: a `.keras` or `.h5` file, or a SavedModel's folder -> Keras model. Errors give the whole reason."""

import json
import os
import re
import zipfile

import h5py

from lab.environment import keras, tf
from lab.refusal import Refused

SUFFIXES = (".keras", ".h5", ".hdf5")


def read(path, allow_code=False, custom_objects=None):
    """The Keras model in a file or in a SavedModel's folder.

    Args:
        path: the file or folder.
        allow_code: whether to read files that carry Python code.
        custom_objects: dict of name to class or function that the file needs.

    Returns:
        Keras model, not compiled.

    Raises:
        Refused: for a path that is no such file, or a file that is broken, unsafe, without its model, or of classes
            that Keras does not know.
    """
    if os.path.isdir(path):
        return _saved_model(path, allow_code)
    _refuse_no_model(path)
    try:
        return keras.models.load_model(
            path, compile=False, safe_mode=not allow_code, custom_objects=custom_objects or None
        )
    except Exception as error:
        if not allow_code and _is_code_refused(str(error)):
            raise Refused(
                f"{path.name} could not be read: it carries Python code. --allow-code (allow_code=True) loads it all the "
                "same: do so only where its source is trusted."
            ) from error
        raise Refused(f"{path.name} could not be read: {_reason(error)}{_hint(path, str(error))}") from error


def _refuse_no_model(path):
    """Refuse by name and content the files for which Keras would wait, or whose error would not help."""
    if not os.path.isfile(path):
        raise Refused(f"A model is a file or a folder. Received: {str(path)!r}, which is neither.")
    if path.suffix not in SUFFIXES:
        raise Refused(f"A model file is a .keras or .h5 file, in small letters. Received: {path.name!r}.")
    archive, tree = zipfile.is_zipfile(path), h5py.is_hdf5(path)
    if path.suffix == ".keras" and not archive:
        other = "it holds HDF5: rename it to end in .h5" if tree else "it is no .keras archive, or not whole"
        raise Refused(f"{path.name} could not be read: {other}.")
    if path.suffix != ".keras" and not tree:
        other = (
            "it holds a .keras archive: rename it to end in .keras" if archive else "it is no HDF5 file, or not whole"
        )
        raise Refused(f"{path.name} could not be read: {other}.")
    if tree and path.suffix != ".keras" and _only_weights(path):
        raise Refused(
            f"A model file holds a model and its weights. Received: {path.name}, which holds weights alone. Build the model, "
            "call model.load_weights(path), and give lab.load the model."
        )


def _only_weights(path):
    try:
        with h5py.File(path, "r") as file:
            return "model_config" not in file.attrs
    except OSError as error:
        raise Refused(f"{path.name} could not be read: it is not whole ({error}).") from error


def _reason(error):
    """The whole of Keras's reason in one line, the innermost first, without the configurations that it prints."""
    parts = [_plain_line(part) for part in str(error).split("Exception encountered:")]
    return " ".join(part for part in reversed(parts) if part) or type(error).__name__


def _plain_line(text):
    plain = re.sub(r"(Full object config: |using config=|config=)\{.*", "", text, flags=re.DOTALL)
    words = " ".join(plain.split())
    return words if not words or words[-1] in ".!?" else f"{words}."


def _is_code_refused(reason):
    """Whether Keras refused a file because it holds a Python function: bool."""
    return "unsafe" in reason or "Lambda" in reason or "safe_mode" in reason


def _hint(path, reason):
    if re.search(r"Could not locate|Unknown (layer|object|\w+ function)", reason):
        return (
            " Name the module that defines it: --import my_layers --allow-code. In Python: import that module before loading, "
            "with @keras.saving.register_keras_serializable() above the class, or give custom_objects={name: class}."
        )
    dropped = re.search(r"Unrecognized keyword arguments passed to (\w+): \{'(\w+)'", reason)
    if dropped and path.suffix != ".keras":
        name, option = dropped.groups()
        return (
            f" Keras 2 saved it with an option that {name} no longer has. Leave it out in a class of that name, in my_layers.py: "
            f"class {name}(keras.layers.{name}): def __init__(self, *args, {option}=None, **options): super().__init__(*args, **options). "
            f"Then --import my_layers --allow-code; in Python, custom_objects={{'{name}': {name}}}."
        )
    if path.suffix == ".keras" and _keras_version(path).startswith("2."):
        return " It was saved by Keras 2: save it there with model.save('model.h5'), and load that."
    return ""


def _keras_version(path):
    """The version of Keras that wrote an archive: str, "" where it does not say."""
    try:
        with zipfile.ZipFile(path) as archive:
            return str(json.loads(archive.read("metadata.json")).get("keras_version", ""))
    except (KeyError, ValueError, OSError, zipfile.BadZipFile):
        return ""


def _saved_model(path, allow_code):
    """A SavedModel's serving signature as a Keras model of one layer, whose inside cannot be observed."""
    if not (path / "saved_model.pb").is_file():
        raise Refused(
            f"A model is a .keras or .h5 file, or a SavedModel's folder. Received: the folder {path}, which is not a SavedModel."
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
