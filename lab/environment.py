"""TensorFlow, set up once: quiet logs, the right Keras backend, memory growth on GPUs.

Every module that needs TensorFlow imports it from here, so that the settings below come first.
"""

import contextlib
import gc
import os
import sys
import tempfile

from threadpoolctl import threadpool_limits

from lab.refusal import Refused

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

_backend = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
if _backend != "tensorflow":
    raise ImportError(
        f"The lab needs Keras on TensorFlow. Received: KERAS_BACKEND={_backend}. Unset it, or set it to 'tensorflow'."
    )


@contextlib.contextmanager
def _quiet():
    """Hold back what is written to the process's error stream; release it only if an exception is raised.

    TensorFlow's libraries write messages before they read any log level, so only the stream itself can be held back.
    """
    if sys.__stderr__ is None:
        # There is no error stream (a service, pythonw), and its number may belong to another file.
        yield
        return
    sys.__stderr__.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


@contextlib.contextmanager
def _uncollected():
    """Hold the garbage collector back: it looks again and again through what an import makes, all of which stays."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if not gc.get_freeze_count():
            # Among the oldest objects, at which the collector looks seldom. It takes a quarter of a second for them.
            gc.freeze()
            gc.unfreeze()
        if was_enabled:
            gc.enable()


with _quiet(), _uncollected():
    import keras
    import tensorflow as tf
    from tensorflow.python.framework.ops import get_gradient_function  # noqa: F401

tf.get_logger().setLevel("ERROR")

if keras.config.backend() != "tensorflow":
    raise ImportError(
        f"The lab needs Keras on TensorFlow. Received: backend {keras.config.backend()!r} from keras.json."
    )

for _gpu in tf.config.list_physical_devices("GPU"):
    try:
        tf.config.experimental.set_memory_growth(_gpu, True)
    except RuntimeError:
        # The caller started the device before importing the lab: the device keeps the caller's setting.
        break


def limit_threads(count):
    """Have this process compute with a number of threads. The bytes of some results depend on it.

    Args:
        count: int.

    Raises:
        Refused: where TensorFlow has started with another number.
    """
    settings = tf.config.threading
    if settings.get_intra_op_parallelism_threads() != count:
        try:
            settings.set_intra_op_parallelism_threads(count)
            settings.set_inter_op_parallelism_threads(count)
        except RuntimeError as error:
            raise Refused(
                f"The number of threads is set before TensorFlow computes anything. Received: threads={count} in a process that has. Start a new one."
            ) from error
    threadpool_limits(count)


def on_gpu():
    """Whether TensorFlow sees a GPU: bool."""
    return bool(tf.config.list_logical_devices("GPU"))
