"""Attribution: methods beside the peers that have them, and those that no peer has beside a bare gradient.

Each library does the same work on the same photographs, by the adapters that give its raw arrays. What they share (our checks of
the inputs) is a thousandth of it. PAIR's saliency has no gradient of its own and gets a plain compiled one.
"""

import lab
from lab.attribution import explainers
from lab.environment import tf
from lab.registry import options
from tests.bench import clock, peak
from tests.bench.gradients import BARE, BATCH, bare
from tests.bench.table import Figure, Row, benchmarks

FOUR = ("chelsea", "coffee", "rocket", "grace_hopper")
STEPS = 50
# Our method with its options, and peers with theirs, which make as many gradients.
ONE_PASS = {
    "gradient": ({}, {"tf_explain.vanilla_gradients": {}, "tf_keras_vis.saliency": {}, "saliency.gradient": {}}),
    "gradient_x_input": ({}, {"tf_explain.gradients_inputs": {}}),
    "gradcam": ({}, {"tf_explain.gradcam": {}, "tf_keras_vis.gradcam": {}}),
    "gradcam_plus_plus": ({}, {"tf_keras_vis.gradcam_plus_plus": {}}),
    "layercam": ({}, {"tf_keras_vis.layercam": {}}),
}
MANY_PASSES = {
    "integrated_gradients": (
        {"steps": STEPS},
        {"tf_explain.integrated_gradients": {"n_steps": STEPS}, "saliency.integrated_gradients": {"x_steps": STEPS}},
    ),
    "smoothgrad": (
        {"samples": STEPS, "seed": 0},
        {"tf_explain.smoothgrad": {"num_samples": STEPS, "noise": 0.3, "seed": 0}, "tf_keras_vis.smoothgrad": {}},
    ),
    "blur_integrated_gradients": ({"steps": STEPS}, {"saliency.blur_ig": {"steps": STEPS}}),
    "guided_integrated_gradients": ({"steps": STEPS}, {"saliency.guided_ig": {"x_steps": STEPS}}),
}
SLOW = {"xrai": ({"steps": STEPS}, {"saliency.xrai": {}}), "scorecam": ({}, {"tf_keras_vis.scorecam": {}})}
# Methods of gradients and layers that no peer on Keras has.
ALONE = (
    "guided_backprop",
    "deconvnet",
    "guided_gradcam",
    "fullgrad",
    "gradient_shap",
    "smooth_gradcam_plus_plus",
    "hirescam",
    "elementwise_gradcam",
    "xgradcam",
    "ablationcam",
    "eigencam",
    "eigengradcam",
    "kpca_cam",
    "layer_gradient_x_activation",
    "layer_integrated_gradients",
    "layer_conductance",
    "internal_influence",
)


def rows_beside(methods, goal):
    """A row for each method and each of its peers: tuple of `Row`."""
    return tuple(
        Row(name, peer, goal, peer.partition(".")[0]) for name, (_, peers) in methods.items() for peer in peers
    )


def beside_peers(network, methods, count, repeats):
    """Every method of a table beside its peers on some photographs: dict of a row's name to `Figure` or str."""
    inputs = network.preprocess(lab.photographs(FOUR[:count]).images)
    figures = {}
    for row in rows_beside(methods, None):
        if not row.missing and not runs(row.beside):
            figures[row.name] = "it does not run with the numpy that is installed"
    for name, (method_options, peers) in methods.items():
        tasks = {name: make_task(name, network, inputs, method_options)}
        tasks |= {peer: make_task(peer, network, inputs, peers[peer]) for peer in peers if runs(peer)}
        seconds = clock.interleaved(tasks, repeats)
        note = f"{1e3 * seconds[name] / count:.0f} ms a map"
        figures |= {f"{name} / {peer}": Figure(seconds[name] / seconds[peer], note) for peer in tasks if peer != name}
    return figures


@benchmarks.register(rows=rows_beside(ONE_PASS, 1.0), repeats=7)
def attribution(network, repeats):
    """Maps of one gradient, beside peers: four photographs, as users of each library call it."""
    return beside_peers(network, ONE_PASS, 4, repeats)


@benchmarks.register(rows=rows_beside(MANY_PASSES, 0.8), repeats=3)
def attribution_sampling(network, repeats):
    """Maps of many gradients, beside peers: two photographs, 50 samples or steps."""
    return beside_peers(network, MANY_PASSES, 2, repeats)


@benchmarks.register(rows=rows_beside(SLOW, 0.8), repeats=1, by_name=True)
def attribution_slow(network, repeats):
    """Maps that take many seconds, beside peers: one photograph, all 1,280 channels of Score-CAM."""
    return beside_peers(network, SLOW, 1, repeats)


@benchmarks.register(rows=tuple(Row(f"{name}, a map", BARE) for name in ALONE), repeats=3, by_name=True)
def attribution_alone(network, repeats):
    """Maps that no peer on Keras has: four photographs, with the options that users get, beside one bare gradient."""
    inputs = network.preprocess(lab.photographs(FOUR).images)
    figures = {}
    for name in ALONE:
        seed = {"seed": 0} if "seed" in options(explainers.get(name)) else {}
        tasks = {BARE: bare(network), name: make_task(name, network, inputs, seed)}
        seconds = clock.interleaved(tasks, repeats)
        share = seconds[name] / len(inputs) / (seconds[BARE] / BATCH)
        figures[f"{name}, a map / {BARE}"] = Figure(share, f"{1e3 * seconds[name] / len(inputs):.0f} ms a map")
    return figures


MEMORY = ONE_PASS | MANY_PASSES | SLOW


@benchmarks.register(rows=rows_beside(MEMORY, None), timed=False, by_name=True)
def attribution_memory(network, repeats):
    """Peak memory beside peers: whole processes that make maps of four photographs, in MiB beyond one that takes one gradient."""
    base, figures = peak.of("gradient", 1), {}
    for name, (_, peers) in MEMORY.items():
        ours = peak.of(f"row:{name}", 4)
        for peer in filter(runs, peers):
            of_peer = peak.of(f"row:{peer}", 4)
            note = f"{ours - base:.0f} and {of_peer - base:.0f} MiB more"
            figures[f"{name} / {peer}"] = Figure(ours / of_peer, note)
    absent = [row for row in rows_beside(MEMORY, None) if not row.missing and row.name not in figures]
    return figures | {row.name: "it does not run with the numpy that is installed" for row in absent}


def runs(peer):
    """Whether a peer's method is here: bool."""
    if peer in OBJECTS:
        return not Row("", "", needs="tf_keras_vis").missing
    return peer in explainers


def make_task(name, network, inputs, settings):
    """A callable that explains the inputs by a method of ours or of a peer."""
    if name in OBJECTS:
        return OBJECTS[name](network, inputs)
    if name.startswith("saliency."):
        return _saliency_task(name, network, inputs, settings)
    return lambda: explainers.get(name)(network, inputs, lab.logit(3), **settings)


def row_options(name):
    """The options that a row gives to a method of ours or of a peer: dict."""
    for method, (method_options, peers) in MEMORY.items():
        if name == method or name in peers:
            return method_options if name == method else peers[name]
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


def _saliency_task(name, network, inputs, settings):
    explain, gradient = explainers.get(name).__wrapped__, Plain(network.model)
    return lambda: [explain(gradient, image, **settings) for image in inputs]


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


# Methods of tf-keras-vis that no adapter has.
OBJECTS = {"tf_keras_vis.smoothgrad": _smoothgrad_task, "tf_keras_vis.scorecam": _scorecam_task}
