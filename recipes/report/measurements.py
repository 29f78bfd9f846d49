"""Measurements: numbers without a verdict, as tables of metrics by methods."""

from lab.registry import summary
from sanity.metrics import metrics


def collect_measurements(store):
    """Tables of measurements: rows are metrics, columns methods.

    Args:
        store: `Store` of the run.

    Returns:
        list of dict, one a check: methods, and rows with metric, better, summary and cells.
    """
    if not store.exists("verdicts"):
        return []
    tables = []
    for family in store.values("verdicts", "measurements.json").values():
        names = list(dict.fromkeys(name for row in family.values() for name in row))
        rows = [
            {
                "metric": name,
                "better": _better(name),
                "summary": summary(metrics.get(name)),
                "cells": [family[method].get(name, [None] * 3) for method in family],
            }
            for name in names
        ]
        tables.append({"methods": list(family), "rows": rows})
    return tables


def _better(name):
    return metrics.tag(metrics.get(name), "better", "")
