"""Features: checks of pictures that are said to show what a unit does. `(study, *, seed, options) -> Evidence`, one check a file.

Their words are FLAGGED and NOT FLAGGED, never more. A picture that no check flags may still mislead.
"""

from lab.registry import Registry

features = Registry("feature check")

from sanity.features import (  # noqa: E402, F401  (registering)
    path,
    predictivity,
    prior,
    reach,
    stability,
    transfer,
)
