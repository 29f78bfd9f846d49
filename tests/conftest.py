import gc
import os

import pytest
from threadpoolctl import threadpool_limits

from lab.environment import on_gpu, tf
from tests import networks

# Functions of shap are asked a few times here: to compile them takes seconds, and they say the same uncompiled.
os.environ.setdefault("NUMBA_DISABLE_JIT", "1")
# Workers share the cores: threads of TensorFlow that wait for each other burn time. Processes that tests start have as many.
_workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(max(1, (os.cpu_count() or 1) // _workers)))


def pytest_collection_modifyitems(items):
    if not on_gpu():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="no GPU here"))


def pytest_collection_finish():
    """Libraries and tests stay until the end: the garbage collector need not look through them again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """One thread for small matrix products and neighbours: those of several workers wait for each other, and burn time."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session")
def lite0():
    """The real ImageNet network, loaded once."""
    import lab

    return lab.load()


@pytest.fixture(scope="session")
def photos(lite0):
    """Three photographs as inputs, with their top classes."""
    import lab

    inputs = lite0.preprocess(lab.photographs(["chelsea", "coffee", "grace_hopper"]).images)
    return inputs, [lite0.class_index(name) for name in ("Egyptian cat", "espresso", "military uniform")]


@pytest.fixture(scope="session")
def small():
    return networks.network(networks.flat())


@pytest.fixture(scope="session")
def small_file(tmp_path_factory):
    """A small user's model on disk, as a command would be given it."""
    path = tmp_path_factory.mktemp("models") / "small.keras"
    networks.flat(head="softmax").save(path)
    return path


@pytest.fixture
def reference():
    """The gradient as plain TensorFlow has it, without taps or folding."""

    def gradient(model, inputs, index):
        inputs = tf.convert_to_tensor(inputs)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            scores = tf.gather(model(inputs, training=False), index, axis=1, batch_dims=1)
        return tape.gradient(scores, inputs).numpy()

    return gradient
