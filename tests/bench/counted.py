"""Counted: what counts errors or simulates in place of timing, module by module, and where its tables stand."""

CALIBRATION = "[sanity/CALIBRATION.md](sanity/CALIBRATION.md)"
COUNTED = {
    "audit_drawn": f"alarms and power of questions that look at a part of large tables, {CALIBRATION}.",
    "audit_failures": f"alarms of slices, clusters and calibration, {CALIBRATION}.",
    "audit_groups": f"alarms of group gaps and of stand-ins, {CALIBRATION}.",
    "audit_proxies": f"alarms of erasures from a layer, costs, untrained networks, counterparts and replicates, {CALIBRATION}.",
    "audit_reasons": f"alarms of reasons and of factors, {CALIBRATION}.",
    "audit_shift": f"alarms of shift, harm and unlikeness, {CALIBRATION}.",
    "audit_simpler": f"alarms of simpler models, {CALIBRATION}.",
    "audit_units": f"rows that belong together and are not said to, {CALIBRATION}.",
    "calibration": f"error rates of verdicts about maps, {CALIBRATION}.",
    "colour": "the matrix of colours that pictures are drawn in.",
    "concepts": f"error rates of concepts, {CALIBRATION}.",
    "dictionaries": f"error rates of atoms, {CALIBRATION}.",
    "heads": "error rates of heads of attention.",
    "kills": "runs that are killed at random moments, and give the bytes of an undisturbed one.",
    "probes": f"error rates of probes, {CALIBRATION}.",
    "scale": "how much faster many workers are, [docs/how-to/many-machines.md](docs/how-to/many-machines.md).",
    "shortcuts": "error rates of shortcuts in data, [CHANGELOG.md](CHANGELOG.md).",
    "transfer": "what other networks see in pictures, [CHANGELOG.md](CHANGELOG.md).",
    "verdicts": f"verdicts of all checks over seeds, {CALIBRATION}.",
}
