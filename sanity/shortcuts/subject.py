"""Subject: labelled rows, with what views see of them, and where there is one the network that is asked about its pictures."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class ShortcutSubject:
    """What the checks of shortcuts ask about.

    Args:
        title: str, the data in words.
        labels: sequence of class names, one a row.
        groups: int [rows], from 0 on.
        views: dict of name to float [rows, features]; a text in the place of features says why there are none.
        faults: tuple of the names of views that raised an error, and did not refuse the data.
        network: `Network`, or None.
        pictures: tuple of `sanity.shortcuts.picture.Picture`, for swaps.
        classes: int [rows], the labels as classes of the network; None without one.
        fit: as of `Network.preprocess`.
        explained: `sanity.subject.Subject` of the same pictures, for maps; None without them.
        explainer: the method whose maps are looked at, or None.
        method: str, its name.
    """

    title: str
    labels: tuple
    groups: np.ndarray
    views: dict = field(default_factory=dict)
    faults: tuple = ()
    network: Any = None
    pictures: tuple = ()
    classes: Any = None
    fit: str = "squash"
    explained: Any = None
    explainer: Any = None
    method: str = ""

    @property
    def name(self):
        """What a verdict speaks of where nothing was measured: str."""
        return "the data"

    @property
    def sizes(self):
        """How many rows, groups and classes there are: dict."""
        counts = (len(self.labels), len(set(np.asarray(self.groups).tolist())), len(set(map(str, self.labels))))
        return dict(zip(("samples", "groups", "classes"), counts))
