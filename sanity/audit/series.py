"""Series: what takes the place of columns where the data are series: level, trend, spread, strongest period, missing share."""

import numpy as np

from sanity.audit.rows import Column


def series_columns(values, names=()):
    """Columns of series.

    Args:
        values: float [rows, steps, channels]; nan, and steps of zeros in all channels at the end, are missing.
        names: tuple of str, of the channels.

    Returns:
        tuple of `Column`.
    """
    values = np.asarray(values, "float64")
    names = names or tuple(f"channel {place}" for place in range(values.shape[2]))
    present = np.isfinite(values) & ~_padding(values)[..., None]
    columns = []
    for place, name in enumerate(names):
        prefix = f"{name} " if len(names) > 1 else ""
        numbers = _statistics(np.where(present[..., place], values[..., place], np.nan))
        columns += [Column(f"{prefix}{word}", column, (), "statistic") for word, column in numbers.items()]
    return tuple(columns)


def _padding(values):
    """Steps at the end of which all channels are zero: bool [rows, steps]."""
    empty = (values == 0).all(axis=2)
    return np.flip(np.cumprod(np.flip(empty, axis=1), axis=1), axis=1).astype(bool)


def _statistics(values):
    """Numbers of each series: dict of str to float64 [rows]."""
    known = np.isfinite(values)
    count = np.maximum(known.sum(axis=1), 1)
    filled = np.where(known, values, 0)
    level = filled.sum(axis=1) / count
    centred = np.where(known, values - level[:, None], 0)
    steps = np.where(known, np.arange(values.shape[1])[None], 0.0)
    steps = np.where(known, steps - (steps.sum(axis=1) / count)[:, None], 0)
    slope = (steps * centred).sum(axis=1) / np.maximum((steps**2).sum(axis=1), 1e-12)
    numbers = {
        "level": level,
        "trend": slope,
        "spread": np.sqrt((centred**2).sum(axis=1) / count),
        "strongest period": _strongest_period(centred - steps * slope[:, None]),
        "missing share": 1 - known.mean(axis=1),
    }
    empty = ~known.any(axis=1)
    return {
        name: column if name == "missing share" else np.where(empty, np.nan, column) for name, column in numbers.items()
    }


def _strongest_period(values):
    """The period of the strongest frequency, in steps: float64 [rows], nan where there is none."""
    steps = values.shape[1]
    if steps < 4:
        return np.full(len(values), np.nan)
    power = np.abs(np.fft.rfft(values, axis=1))[:, 1:] ** 2
    period = steps / (1 + power.argmax(axis=1))
    return np.where(power.max(axis=1) > 0, period, np.nan)
