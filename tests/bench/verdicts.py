"""Verdicts over seeds of everything: `python -m tests.bench.verdicts --worlds patch,ruler --seeds 5` prints the table explainer x check.

A cell counts PASS, FAIL, INCONCLUSIVE and INVALID over the seeds, of networks, samples and draws alike. Both PASS and FAIL of one
method under one check in one world is an error of the check, and is printed below the table.
"""

import argparse
from collections import Counter

from lab.attribution import explainers
from recipes.cache import Cache
from sanity.checks import checks, prepare_shared
from sanity.examination import judge_with_controls, measure
from sanity.subject import world_subject
from sanity.worlds import worlds
from tests.bench.shares import print_head, print_row
from tests.sanity import bank

USUAL = (
    "gradient",
    "gradient_x_input",
    "integrated_gradients",
    "smoothgrad",
    "guided_backprop",
    "deconvnet",
    "gradcam",
)
CHECKS = ("truth", "class_crossing", "image_crossing", "place", "parameters", "labels", "classes", "derivative")
OUTCOMES = ("PASS", "FAIL", "INCONCLUSIVE", "INVALID")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--worlds", default="patch,ruler")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--checks", default=",".join(CHECKS))
    parser.add_argument("--sets", default="usual,controls,blind,wrong,right")
    arguments = parser.parse_args()
    methods, check_names = methods_of_sets(arguments.sets.split(",")), arguments.checks.split(",")
    for name in arguments.worlds.split(","):
        counts = {}
        for seed in range(arguments.seeds):
            for method, check, outcome in verdicts(name, seed, arguments.images, methods, check_names):
                counts.setdefault((method, check), Counter())[outcome] += 1
            print(f"<!-- {name}, seed {seed} done -->", flush=True)
        print_table(name, methods, check_names, counts)


def methods_of_sets(sets):
    """Explainers by name: dict."""
    members = {
        "usual": {name: explainers.get(name) for name in USUAL},
        "controls": {name: explainers.get(name) for name in explainers.names(control=True)},
        "blind": bank.BLIND,
        "wrong": bank.WRONG,
        "right": bank.RIGHT,
    }
    return {name: method for key in sets for name, method in members[key].items()}


def verdicts(name, seed, images, methods, check_names):
    """Every verdict of one seed: tuples of method, check, outcome."""
    permuted_label_networks = 4 if "labels" in check_names else 0
    subject = world_subject(
        worlds.get(name)(),
        seed=seed,
        replicates=4,
        permuted_label_networks=permuted_label_networks,
        images=images,
        cache=Cache("artifacts").get,
    )
    for check in check_names:
        common = prepare_shared(checks.get(check), subject, seed, {})
        family = [
            measure(check, method, subject, seed=seed, name=label, prepare=lambda common=common: common)[0]
            for label, method in methods.items()
        ]
        for verdict in judge_with_controls(family, seed=seed).verdicts:
            yield verdict.method, check, verdict.outcome


def print_table(name, methods, check_names, counts):
    """The table of one world, and what came out both ways."""
    print()
    print_head(name, *check_names)
    for method in methods:
        cells = [_cell(counts.get((method, check), Counter())) for check in check_names]
        print_row(method, *cells)
    both = [f"{method} under {check}" for (method, check), count in counts.items() if count["PASS"] and count["FAIL"]]
    print(f"\nBoth PASS and FAIL: {', '.join(both) or 'none'}.", flush=True)


def _cell(count):
    return " ".join(f"{count[outcome]} {outcome}" for outcome in OUTCOMES if count[outcome]) or "-"


if __name__ == "__main__":
    main()
