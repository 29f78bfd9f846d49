"""Silence: warnings and output of other libraries are dropped."""

import contextlib
import io
import warnings


@contextlib.contextmanager
def silence():
    """While open, Python warnings are dropped and nothing is printed, not even progress bars."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
