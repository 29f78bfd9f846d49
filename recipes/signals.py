"""Signals: Ctrl-C and SIGTERM as exceptions, and a memory of those that a library caught and dropped."""

import contextlib
import signal
import threading

_arrived = []


class Terminated(KeyboardInterrupt):
    """SIGTERM, which stops a run as Ctrl-C does."""


@contextlib.contextmanager
def handle_signals():
    """While open, Ctrl-C raises KeyboardInterrupt and SIGTERM Terminated; both are remembered. Main thread only."""
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


def last_signal():
    """The last signal that arrived: `signal.Signals` or None."""
    return signal.Signals(_arrived[-1]) if _arrived else None


def stop_if_arrived():
    """Raise the exception of a signal that arrived. TensorFlow may have turned it into a RuntimeError."""
    if _arrived:
        raise Terminated if _arrived[-1] == signal.SIGTERM else KeyboardInterrupt
