"""Signals: Ctrl-C and SIGTERM as exceptions, and whether one arrived that a library has swallowed on its way."""

import contextlib
import signal
import threading

_arrived = []


class Terminated(KeyboardInterrupt):
    """SIGTERM, which stops a run as Ctrl-C does."""


@contextlib.contextmanager
def heard():
    """While open, Ctrl-C raises KeyboardInterrupt and SIGTERM Terminated, and both are remembered, where this thread may say so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _stop) for number in (signal.SIGINT, signal.SIGTERM)}
    _arrived.clear()
    try:
        yield
    finally:
        _arrived.clear()
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(number, _):
    _arrived.append(number)
    raise Terminated if number == signal.SIGTERM else KeyboardInterrupt


def arrived():
    """The last signal that arrived: `signal.Signals` or None."""
    return signal.Signals(_arrived[-1]) if _arrived else None


def stop_if_arrived():
    """Raise again what arrived: TensorFlow, for one, turns an interruption in its own code into a RuntimeError."""
    if _arrived:
        raise Terminated if _arrived[-1] == signal.SIGTERM else KeyboardInterrupt
