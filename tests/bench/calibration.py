"""Calibration of the verdicts: `python -m tests.bench.calibration [--runs 200]` prints the table of sanity/CALIBRATION.md.

A world has twelve trained networks, six on permuted labels and twelve random ones. On two cores they take about fifteen minutes the
first time. They are kept under artifacts/networks.

With `--images FOLDER` it is EfficientNet-Lite0 instead: the power of `class_crossing` (`--parts crossed`) and of verdicts on its
weights (`--parts alone`) over photographs of that folder, and untrained networks, drawn again.
"""

import argparse
import time
from dataclasses import replace

import numpy as np

from lab import load
from lab.attribution import explainers
from lab.data import Data, folder
from recipes.cache import Cache
from sanity import calibration
from sanity.calibration import Rate
from sanity.checks import checks, faithfulness, truth
from sanity.examination import measure
from sanity.interventions import occlusion
from sanity.removal import extent
from sanity.subject import subject, world_subject
from sanity.worlds import worlds
from tests.bench.shares import print_head, print_row
from tests.sanity import bank

WORLDS = ("patch", "scenes_object", "ruler")
METHODS = ("gradient", "gradcam", "smoothgrad")
# Untrained networks of which those of a simulated run are drawn.
UNTRAINED_POOL = 16
PLANTED = ("gradient", "gradient_x_input", "integrated_gradients", "smoothgrad", "guided_backprop", "gradcam", "noise")

# Of methods that average many gradients, on networks where one gradient takes long.
FEWER_STEPS = {"integrated_gradients": {"steps": 16}, "smoothgrad": {"samples": 16}}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--worlds", default=",".join(WORLDS))
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--images", help="a folder of photographs")
    parser.add_argument("--count", type=int, default=128, help="how many photographs are measured, taken at random")
    parser.add_argument("--sizes", default="48,100", help="how many photographs a simulated run has")
    arguments = parser.parse_args()
    print_head("check", "world", "simulated", "outcome", "rate", "95%", "wanted")
    if arguments.images:
        print_rates(photograph_rates(arguments))
        return
    for name in arguments.worlds.split(","):
        print_rates(rates(name, arguments.runs, arguments.parts.split(",")))


def print_rates(rows):
    """One line of the table for each `Rate`."""
    for rate in rows:
        if not rate.runs:
            print_row(rate.check, rate.world, rate.simulated, rate.outcome, "no run was judged", "", rate.wanted)
            continue
        numbers = f"{rate.share.mean:.3f}", f"{rate.share.low:.3f}-{rate.share.high:.3f}"
        print_row(rate.check, rate.world, rate.simulated, rate.outcome, *numbers, rate.wanted)


def photograph_rates(arguments):
    """The simulated rates of `class_crossing` over photographs of a folder."""
    photographs = folder(arguments.images)
    chosen = np.random.default_rng(0).permutation(len(photographs.images))[: arguments.count]
    names, images = zip(*((photographs.names[index], photographs.images[index]) for index in chosen))
    network = load()
    photographed, sizes = subject(network, Data(names, images)), list(map(int, arguments.sizes.split(",")))
    parts = arguments.parts.split(",")
    if "crossed" in parts:
        family = _crossing_family(photographed, FEWER_STEPS)
        for size in sizes:
            yield from _family_rates(family, f"{network.name}, {size} photographs", arguments.runs, size)
    if "alone" in parts:
        family = _alone_family(photographed, FEWER_STEPS)
        for size in sizes:
            yield from _alone_family_rates(family, f"{network.name}, {size} photographs", arguments.runs, size)


def rates(name, runs, parts):
    """The simulated rates in one world."""
    start = time.perf_counter()
    subject = world_subject(
        worlds.get(name)(), seed=0, replicates=12, permuted_label_networks=6, images=32, cache=Cache("artifacts").get
    )
    print(f"<!-- {name}: networks after {time.perf_counter() - start:.0f} s -->", flush=True)
    for part in parts:
        yield from PARTS[part](subject, name, runs)


def _network_rates(subject, name, runs):
    pool = calibration.build_pool(subject, METHODS, seed=0)
    for check, second in (("parameters", "random"), ("labels", "permuted_label_networks")):
        for size in (4, 6):
            yield from _null_rates(pool, check, name, runs, size)
            yield from _group_rates(pool, check, second, name, runs, size)


def _null_rates(pool, check, name, runs, size):
    """Rates where there is nothing to detect."""
    outcomes, alarms = calibration.simulate_networks(pool, check, "trained", "trained", runs=runs, size=size, seed=1)
    simulated = f"trained against trained, K={size}"
    yield Rate(check, name, simulated, "p < .05 for any of 3 methods", alarms, runs, "low")
    worst = max(outcomes.values(), key=lambda outcome_counts: outcome_counts["PASS"])
    yield Rate(check, name, f"{simulated}, worst method", "PASS", worst["PASS"], runs, "low")


def _group_rates(pool, check, second, name, runs, size):
    """Rates where trained networks are compared with others."""
    outcomes, _ = calibration.simulate_networks(pool, check, "trained", second, runs=runs, size=size, seed=2)
    for method, counts in outcomes.items():
        simulated = f"{method}, trained against {second}, K={size}"
        yield Rate(check, name, simulated, "PASS", counts["PASS"], runs, "high")
        yield Rate(check, name, simulated, "FAIL", counts["FAIL"], runs, "low")


def _blind_rates(subject, name, runs):
    for check in ("parameters", "labels"):
        outcomes = calibration.simulate_blind(subject, check, runs=runs, size=4, seed=3)
        yield Rate(check, name, "edges under as much noise, K=4", "PASS", outcomes["PASS"], runs, "low")
        yield Rate(check, name, "edges under as much noise, K=4", "FAIL", outcomes["FAIL"], runs, "high")


def _truth_rates(subject, name, runs):
    prepared = truth.prepare(subject, seed=0)
    methods = {method: explainers.get(method) for method in PLANTED} | bank.BLIND
    ranks = {}
    for method, explainer in methods.items():
        evidence, trace = measure(
            "truth", explainer, subject, seed=0, name=method, prepare=lambda: {"prepared": prepared}
        )
        if trace is None and not evidence.failed:
            ranks[method] = evidence.samples["rank"]
    oracle = {"oracle": prepared.oracle, **ranks}
    for null, outcome, wanted in ((True, "PASS", "low"), (False, "PASS", "high"), (False, "FAIL", "low")):
        counts = calibration.simulate_truth(oracle, prepared.oracle, runs=runs, size=4, seed=4, null=null)
        kind = "roles at random" if null else "K=4 and images resampled"
        for method in ("oracle", *PLANTED):
            aim = "low" if method == "noise" else wanted
            yield Rate("truth", name, f"{method}, {kind}", outcome, counts[method][outcome], runs, aim)
        blind = sum(counts[method]["PASS"] for method in bank.BLIND if method in counts)
        if outcome == "PASS":
            yield Rate("truth", name, f"{len(bank.BLIND)} blind, {kind}", outcome, blind, runs * len(bank.BLIND), "low")


def _crossing_rates(subject, name, runs):
    return _family_rates(_crossing_family(subject), name, runs, len(subject.names))


def _family_rates(family, name, runs, size):
    """How often methods pass `class_crossing` over images drawn again, of one network."""
    counts = calibration.simulate_crossing(family, runs=runs, size=size, seed=6)
    for method in counts:
        blind = method in ("noise", "edges")
        kind, outcomes = f"{method}, images resampled", counts[method]
        yield Rate("class_crossing", name, kind, "PASS", outcomes["PASS"], runs, "low" if blind else "high")
        yield Rate("class_crossing", name, kind, "FAIL", outcomes["FAIL"], runs, "high" if blind else "low")


def _crossing_family(subject, options=None):
    """Evidence of some methods under `class_crossing`, with their options by name."""
    prepared = checks.tag(checks.get("class_crossing"), "prepare")(subject, seed=0)
    return [
        measure(
            "class_crossing",
            explainers.get(method),
            subject,
            seed=0,
            name=method,
            options=(options or {}).get(method),
            prepare=lambda: {"prepared": prepared},
        )[0]
        for method in (*PLANTED, "edges")
    ]


def _alone_rates(subject, name, runs):
    one = replace(subject, replicates=subject.replicates[:1])
    return _alone_family_rates(_alone_family(one), name, runs, len(one.names))


def _alone_family(subject, options=None):
    """Evidence of some methods and of blind and wrong ones about the weights of one network, beside 16 untrained ones."""
    methods = {method: explainers.get(method) for method in (*PLANTED, "edges")} | bank.BLIND | bank.WRONG
    prepared = checks.tag(checks.get("parameters"), "prepare")(subject, seed=0, seeds=UNTRAINED_POOL)
    measured = [
        measure(
            "parameters",
            explainer,
            subject,
            seed=0,
            name=method,
            settings={"seeds": UNTRAINED_POOL},
            options=(options or {}).get(method),
            prepare=lambda: {"prepared": prepared},
        )
        for method, explainer in methods.items()
    ]
    return [evidence for evidence, trace in measured if trace is None and not evidence.failed]


def _alone_family_rates(family, name, runs, images):
    """How often verdicts about the weights of one network come out, over untrained networks and images drawn again."""
    counts = calibration.simulate_one_network(family, runs=runs, networks=6, images=images, seed=11)
    for method in (method for method in (*PLANTED, "edges") if method in counts):
        for outcome in ("PASS", "FAIL"):
            wanted = "low" if (method in ("noise", "edges")) == (outcome == "PASS") else "high"
            wanted = "low" if method == "noise" else wanted
            kind = f"{method}, one network, 6 untrained"
            yield Rate("parameters", name, kind, outcome, counts[method][outcome], runs, wanted)
    for kind, members in (("blind", bank.BLIND), ("wrong", bank.WRONG)):
        known = [method for method in members if method in counts]
        passes = sum(counts[method]["PASS"] for method in known)
        yield Rate("parameters", name, f"{len(known)} {kind}, one network", "PASS", passes, runs * len(known), "low")


def _class_rates(subject, name, runs):
    for method, outcome, wanted in (
        ("edges", "PASS", "low"),
        ("edges", "FAIL", "high"),
        ("gradient", "PASS", "high"),
        ("gradient", "FAIL", "low"),
    ):
        outcomes = calibration.simulate_classes(subject, method, runs=runs, seed=7)
        yield Rate("classes", name, f"{method}, images resampled", outcome, outcomes[outcome], runs, wanted)


def _faithfulness_rates(subject, name, runs):
    prepared = faithfulness.prepare(subject, seed=0)
    rng, shape = np.random.default_rng(8), (len(subject.names), *extent(subject.inputs))
    random_orders = [rng.random(shape) for _ in range(20)]
    areas = {
        metric: np.stack([faithfulness.area(subject, relevance, metric, None, 0) for relevance in random_orders])
        for metric in prepared.null
    }
    beats, unknown = "BEATS RANDOM ORDER", "ORACLE DOES NOT PASS"
    findings = calibration.simulate_faithfulness(prepared, areas, runs=runs, seed=9)
    yield Rate("faithfulness", name, "random order", beats, findings[beats], runs, "low")
    yield Rate("faithfulness", name, "any method", unknown, findings[unknown], runs, "low")
    answer = np.maximum(occlusion(subject), 0)
    oracle_areas = {metric: faithfulness.area(subject, answer, metric, None, 0)[None] for metric in prepared.null}
    findings = calibration.simulate_faithfulness(prepared, oracle_areas, runs=runs, seed=10)
    yield Rate("faithfulness", name, "the network's own answer by occlusion", beats, findings[beats], runs, "high")


PARTS = {
    "networks": _network_rates,
    "blind": _blind_rates,
    "planted": _truth_rates,
    "crossed": _crossing_rates,
    "alone": _alone_rates,
    "classes": _class_rates,
    "perturbed": _faithfulness_rates,
}

if __name__ == "__main__":
    main()
