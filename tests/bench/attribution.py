"""Every method beside every peer that is installed: time for a map, and the peak memory of a process that makes four.

Each library does the same work on the same four photographs, by the adapters that give its raw arrays. What they share (our
checks of the inputs) is a thousandth of it. PAIR's saliency has no gradient of its own and gets a plain compiled one.
"""

import contextlib

import lab
from lab.attribution import explainers
from lab.environment import tf
from lab.registry import options
from tests.bench import clock, peak

FOUR = ("chelsea", "coffee", "rocket", "grace_hopper")
STEPS = 50
# Our method with its options, and peers with theirs, which make as many gradients.
ROWS = {
    "gradient": (
        {},
        {
            "tf_explain.vanilla_gradients": {},
            "tf_keras_vis.saliency": {},
            "saliency.gradient": {},
            "xplique.saliency": {},
        },
    ),
    "gradient_x_input": ({}, {"tf_explain.gradients_inputs": {}, "xplique.gradient_input": {}}),
    "integrated_gradients": (
        {"steps": STEPS},
        {
            "tf_explain.integrated_gradients": {"n_steps": STEPS},
            "saliency.integrated_gradients": {"x_steps": STEPS},
            "xplique.integrated_gradients": {"steps": STEPS},
        },
    ),
    "smoothgrad": (
        {"samples": STEPS, "seed": 0},
        {"tf_explain.smoothgrad": {"num_samples": STEPS, "noise": 0.3, "seed": 0}, "tf_keras_vis smoothgrad": {}},
    ),
    "blur_integrated_gradients": ({"steps": STEPS}, {"saliency.blur_ig": {"steps": STEPS}}),
    "guided_integrated_gradients": ({"steps": STEPS}, {"saliency.guided_ig": {"x_steps": STEPS}}),
    "xrai": ({"steps": STEPS}, {"saliency.xrai": {}}),
    "guided_backprop": ({}, {"xplique.guided_backprop": {}}),
    "deconvnet": ({}, {"xplique.deconvnet": {}}),
    "gradcam": ({}, {"tf_explain.gradcam": {}, "tf_keras_vis.gradcam": {}}),
    "gradcam_plus_plus": ({}, {"tf_keras_vis.gradcam_plus_plus": {}}),
    "layercam": ({}, {"tf_keras_vis.layercam": {}}),
    "scorecam": ({}, {"tf_keras_vis scorecam": {}}),
}
# Sampling methods are held to .8 of the best peer's time, all others to no more than it.
SAMPLING = {
    "integrated_gradients",
    "smoothgrad",
    "blur_integrated_gradients",
    "guided_integrated_gradients",
    "xrai",
    "scorecam",
}


def attribution(network):
    """Seconds a map of ours and of each peer, interleaved, as a table in Markdown."""
    inputs, objective = network.preprocess(lab.photographs(FOUR).images), lab.logit(3)
    print("| method | ours, ms a map | peers: ours as a share of theirs | goal |\n|---|---|---|---|", flush=True)
    for name, (own_options, peers) in ROWS.items():
        tasks = {name: make_task(name, network, inputs, objective, own_options)}
        tasks |= {
            peer: make_task(peer, network, inputs, objective, peer_options)
            for peer, peer_options in peers.items()
            if is_installed(peer)
        }
        seconds = clock.interleaved({key: task for key, task in tasks.items() if task}, 3 if name in SAMPLING else 7)
        print(table_row(name, seconds, len(inputs)), flush=True)
    without_peers = [
        name
        for name in explainers
        if "." not in name and name not in (*ROWS, *explainers.names(control=True), *explainers.names(wrapper=True))
    ]
    for name in without_peers:
        seed_option = {"seed": 0} if "seed" in options(explainers.get(name)) else {}
        seconds = clock.interleaved({name: make_task(name, network, inputs, objective, seed_option)}, 3)
        print(table_row(name, seconds, len(inputs)), flush=True)


def table_row(name, seconds, count):
    ratios = {peer: seconds[name] / value for peer, value in seconds.items() if peer != name}
    limit = 0.8 if name in SAMPLING else 1.0
    verdict = "" if not ratios else f"{limit:.2f} {'met' if max(ratios.values()) <= limit else 'MISSED'}"
    peer_words = ", ".join(f"{peer} {ratio:.2f}" for peer, ratio in ratios.items()) or "none has it"
    return f"| {name} | {1e3 * seconds[name] / count:.0f} | {peer_words} | {verdict} |"


def attribution_memory(network):
    """Peak memory of a process that explains four photographs, beyond one that takes a single gradient, MiB."""
    del network  # Each measurement loads its own, in its own process.
    base = peak.of("gradient", 1)
    print("| method | ours, MiB | peers, MiB |\n|---|---|---|", flush=True)
    for name, (_, peers) in ROWS.items():
        memory = peak.of(f"row:{name}", 4) - base
        others = [f"{peer} {peak.of(f'row:{peer}', 4) - base:.0f}" for peer in peers if is_installed(peer)]
        print(f"| {name} | {memory:.0f} | {', '.join(others) or 'none has it'} |", flush=True)


def is_installed(name):
    if name.startswith("tf_keras_vis "):
        with contextlib.suppress(ImportError):
            import tf_keras_vis  # noqa: F401

            return True
        return False
    return name in explainers


def make_task(name, network, inputs, objective, options):
    """A callable that explains the inputs by a method of ours or of a peer."""
    if name == "tf_keras_vis smoothgrad":
        return _smoothgrad_task(network, inputs)
    if name == "tf_keras_vis scorecam":
        return _scorecam_task(network, inputs)
    if name.startswith("saliency."):
        return _saliency_task(name, network, inputs, options)
    return lambda: explainers.get(name)(network, inputs, objective, **options)


def row_options(name):
    """The options that a row gives to a method of ours or of a peer: dict."""
    for method, (own_options, peers) in ROWS.items():
        if name == method or name in peers:
            return own_options if name == method else peers[name]
    raise KeyError(name)


class Plain:
    """The gradient that PAIR's saliency needs, a compiled one of the Keras model as its user would write it."""

    def __init__(self, model, index=3):
        self.model, self.index = model, index
        self.compiled = tf.function(self._gradient, reduce_retracing=True)

    def _gradient(self, points):
        with tf.GradientTape() as tape:
            tape.watch(points)
            scores = self.model(points, training=False)[:, self.index]
        return tape.gradient(scores, points)

    def gradients(self, points):
        return self.compiled(tf.constant(points)).numpy()


def _saliency_task(name, network, inputs, options):
    explain, gradient = explainers.get(name).__wrapped__, Plain(network.model)
    return lambda: [explain(gradient, image, **options) for image in inputs]


def _smoothgrad_task(network, inputs):
    from lab.adapters.silence import silence

    with silence():
        from tf_keras_vis.saliency import Saliency
        from tf_keras_vis.utils.scores import CategoricalScore

    saliency = Saliency(network.model, clone=False)

    def run():
        with silence():
            return saliency(CategoricalScore([3] * len(inputs)), inputs, smooth_samples=STEPS, smooth_noise=0.15)

    return run


def _scorecam_task(network, inputs):
    from lab.adapters.silence import silence

    with silence():
        from tf_keras_vis.scorecam import Scorecam
        from tf_keras_vis.utils.scores import CategoricalScore

    method = Scorecam(network.model, clone=False)

    def run():
        with silence():
            return method(
                CategoricalScore([3] * len(inputs)),
                inputs,
                penultimate_layer="head_relu",
                seek_penultimate_conv_layer=False,
            )

    return run


ALL = (attribution, attribution_memory)
