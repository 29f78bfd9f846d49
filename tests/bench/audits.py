"""Error rates of the checks of an audit, each printed as the tables of sanity/CALIBRATION.md: python -m tests.bench audit_shift

They need no network of the lab, and take minutes to an hour each.
"""

from tests.bench import audit_failures as failures
from tests.bench import audit_groups as groups
from tests.bench import audit_reasons as reasons
from tests.bench import audit_shift as shift
from tests.bench import audit_simpler as simpler
from tests.bench import audit_units as units


def audit_failures(network=None):
    """Slices, clusters and calibration."""
    failures.main()


def audit_groups(network=None):
    """Group gaps, decodable and proxy use."""
    groups.main()


def audit_reasons(network=None):
    """Reason codes, factor importance and counterfactuals."""
    reasons.main()


def audit_shift(network=None):
    """Shift, harm and unlikeness."""
    shift.main()


def audit_simpler(network=None):
    """Simpler models."""
    simpler.main()


def audit_units(network=None):
    """Rows that belong together."""
    units.main()


BY_NAME = (audit_failures, audit_groups, audit_reasons, audit_shift, audit_simpler, audit_units)
