"""Activations: what is learned from a layer (concept vectors, dictionaries, probes), beside bare passes, scikit-learn and Keras."""

import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import NMF, PCA
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import PredefinedSplit, cross_val_predict, permutation_test_score

import lab
from lab import concepts
from lab.defaults import candidates
from lab.environment import keras, tf
from lab.opening import open_data
from sanity.checks import checks
from sanity.concepts import Study
from sanity.probes.encoding import EXCHANGES, exchanged_accuracies
from sanity.probes.label_sets import label_set
from tests.bench import clock
from tests.bench.gradients import BARE, BATCH, FORWARD, bare, bare_forward, compiled_forward
from tests.bench.sampling import photographs
from tests.bench.table import Figure, Row, benchmarks

LAYERS = ("block_2_add", "block_6_add", "block_14_add")


def ratios(rows, seconds, notes=None):
    """The figures of rows from seconds by name: dict."""
    return {row.name: Figure(seconds[row.measured] / seconds[row.beside], (notes or {}).get(row, "")) for row in rows}


# Concepts -----------------------------------------------------------------------------------------------------------------

# Concept vectors of a study of one concept: its own and thirty random sets, each against five negative sets.
SETS, INPUTS, CHANNELS = 31 * 5, 24, 192
READ, SLOPES, VECTORS = "activations of three layers", "gradients at three layers", f"{SETS} concept vectors"
CONCEPTS = (
    Row(READ, FORWARD, 1.1),
    Row(SLOPES, BARE, 1.1),
    Row(VECTORS, "RidgeClassifier of scikit-learn", 1.0, "sklearn"),
)


@benchmarks.register(rows=CONCEPTS, repeats=5)
def concept_vectors(network, repeats):
    """Concepts: passes of 16 photographs, and the vectors of one study in sets of 24 inputs and 192 channels."""
    inputs, objective = photographs(network, BATCH), lab.logit(3)
    # Images of the network's size, so that nothing is resized.
    data = open_data(np.round(network.deprocess(inputs)).clip(0, 255).astype("uint8"))
    sets = np.random.default_rng(0).normal(size=(SETS, 2, INPUTS, CHANNELS))
    labels = np.repeat([1, 0], INPUTS)
    tasks = {
        FORWARD: bare_forward(network, inputs),
        BARE: bare(network, inputs),
        READ: lambda: concepts.read_activations(network, data, list(LAYERS)),
        SLOPES: lambda: concepts.directional_derivatives(network, inputs, objective, list(LAYERS)),
        VECTORS: lambda: [concepts.cav(positive, negative) for positive, negative in sets],
        CONCEPTS[2].beside: lambda: [RidgeClassifier().fit(np.concatenate(pair), labels).coef_ for pair in sets],
    }
    return ratios(CONCEPTS, clock.interleaved(tasks, repeats))


# Dictionaries -------------------------------------------------------------------------------------------------------------

ATOMS, POSITIONS, STEPS = 32, 8192, 200
FACTORS = {
    "pca": lambda: PCA(ATOMS, random_state=0),
    "kmeans": lambda: KMeans(ATOMS, n_init=1, random_state=0),
    "nmf": lambda: NMF(ATOMS, init="random", max_iter=400, random_state=0),
}
AUTOENCODER = Row("sparse_autoencoder", "model.fit of Keras", 1.0)
DICTIONARIES = (*(Row(name, f"scikit-learn's {name}", 1.1, "sklearn") for name in FACTORS), AUTOENCODER)


@benchmarks.register(rows=DICTIONARIES, repeats=7)
def dictionary_learning(network, repeats):
    """Dictionaries: 32 atoms of 8,192 positions and 192 channels; sparse autoencoders of 384 atoms, 200 steps of 512 rows."""
    # Sums of non-negative parts, so that there is something to learn.
    rng = np.random.default_rng(0)
    parts = rng.exponential(size=(ATOMS, CHANNELS)) * (rng.random((ATOMS, CHANNELS)) < 0.2)
    rows = rng.exponential(size=(POSITIONS, ATOMS)) * (rng.random((POSITIONS, ATOMS)) < 0.1) @ parts
    rows = (rows + 0.01 * rng.random(rows.shape)).astype("float32")
    tasks = {name: lambda name=name: concepts.learn(rows, name, atoms=ATOMS, seed=0) for name in FACTORS}
    tasks |= {f"scikit-learn's {name}": lambda make=make: make().fit(rows) for name, make in FACTORS.items()}
    settings = {"atoms": 2 * CHANNELS, "seed": 0, "steps": STEPS}
    tasks[AUTOENCODER.measured] = lambda: concepts.sparse_autoencoder(rows, **settings)
    tasks[AUTOENCODER.beside] = lambda: fit_autoencoder(rows)
    return ratios(DICTIONARIES, clock.interleaved(tasks, repeats))


def fit_autoencoder(rows, atoms=2 * CHANNELS, active=16, batch=512):
    """The same sparse autoencoder as a user writes it in Keras, without revival of dead atoms."""

    class TopK(keras.layers.Layer):
        def call(self, values):
            least = tf.math.top_k(values, active).values[:, -1:]
            return tf.where(values >= least, tf.nn.relu(values), 0.0)

    model = keras.Sequential([keras.layers.Dense(atoms), TopK(), keras.layers.Dense(rows.shape[1])])
    model.compile("adam", "mse")
    repeated = tf.data.Dataset.from_tensor_slices((rows, rows)).shuffle(len(rows), seed=0).repeat().batch(batch)
    model.fit(repeated, steps_per_epoch=STEPS, epochs=1, verbose=0)


# Probes -------------------------------------------------------------------------------------------------------------------

CASES, FOLDS = 480, 5
PROBE, EXCHANGED = "a linear probe, five folds", f"accuracy under {EXCHANGES} exchanges of labels"
PROBES = (
    Row(PROBE, "cross_val_predict of scikit-learn", 1.0, "sklearn"),
    Row(EXCHANGED, "permutation_test_score of scikit-learn", 0.1, "sklearn"),
)


@benchmarks.register(rows=PROBES, repeats=3)
def probe_fits(network, repeats):
    """Probes: 480 rows of 192 channels and three classes; exchanges beside ridge classifiers that are fitted to each."""
    rng = np.random.default_rng(0)
    labels = np.arange(CASES) % 3
    rows = (rng.normal(size=(CASES, CHANNELS)) + np.eye(CHANNELS)[labels]).astype("float32")
    folds = np.arange(CASES) // 3 % FOLDS
    labelled, split = label_set("label", [str(label) for label in labels], range(CASES)), PredefinedSplit(folds)
    probe = concepts.linear_probe()
    tasks = {
        PROBE: lambda: concepts.cross_validate(rows, labels, folds),
        PROBES[0].beside: lambda: cross_val_predict(probe, rows, labels, cv=split, method="predict_proba"),
        EXCHANGED: lambda: exchanged_accuracies(rows, labelled, 0, EXCHANGES),
        PROBES[1].beside: lambda: permutation_test_score(
            RidgeClassifier(), rows, labels, cv=split, n_permutations=EXCHANGES, scoring="balanced_accuracy"
        ),
    }
    return ratios(PROBES, clock.interleaved(tasks, repeats))


# Probes of all layers -----------------------------------------------------------------------------------------------------

PICTURES, CLASSES = 400, 4
READ_ALL = f"reading all layers of {PICTURES} pictures"
ALL_PROBES = (
    Row(READ_ALL, "bare forward passes", 2.0),
    Row("reading, and a linear probe of each layer", "bare forward passes, and its fits", 2.0),
)


@benchmarks.register(rows=ALL_PROBES, repeats=3)
def probes_of_layers(network, repeats):
    """Probes of all layers: 400 crops of packaged photographs of four classes, read in one pass, and a probe of every layer."""
    data = crops(network, PICTURES)
    layers = [address for address in candidates(network) if network.shapes[address][-1]]
    batches = np.split(data.inputs_of(network), PICTURES // BATCH)
    forward = compiled_forward(network)
    labels, folds = np.arange(PICTURES) % CLASSES, np.arange(PICTURES) // CLASSES % FOLDS
    seconds = clock.interleaved(
        {
            READ_ALL: lambda: concepts.read_activations(network, data, layers),
            "forward": lambda: [forward(batch) for batch in batches],
        },
        repeats,
    )
    rows = concepts.read_activations(network, data, layers)
    fit = {"fits": lambda: [concepts.cross_validate(values, labels, folds) for values in rows.values()]}
    read, passes, fits = seconds[READ_ALL], seconds["forward"], clock.interleaved(fit, 1, warm=False)["fits"]
    notes = (f"{read:.1f} s, {len(layers)} layers", f"fits: {fits:.1f} s")
    ratios_of_rows = (read / passes, (read + fits) / (passes + fits))
    return {row.name: Figure(ratio, note) for row, ratio, note in zip(ALL_PROBES, ratios_of_rows, notes)}


def crops(network, count):
    """Crops of the packaged photographs at the network's size: `lab.Data`."""
    rng, (height, width) = np.random.default_rng(0), network.size
    images = [np.asarray(image) for image in lab.photographs().images]
    cut = []
    for place in range(count):
        image = images[place % len(images)]
        row, column = (rng.integers(side - part + 1) for side, part in zip(image.shape, (height, width)))
        cut.append(image[row : row + height, column : column + width])
    return open_data(np.stack(cut))


# TCAV ---------------------------------------------------------------------------------------------------------------------

THREE_MINUTES = 180
TCAV, TWICE = "TCAV of 10 concepts x 5 layers x 30 random sets", "TCAV of 20 concepts"
TCAVS = (
    Row(TCAV, "three minutes", 1.0),
    Row(TWICE, "TCAV of 10 concepts", 2.2),
    Row("TCAV of 10 layers", "TCAV of 5 layers", 2.2),
    Row("TCAV of 60 random sets", "TCAV of 30 random sets", 2.2),
)


@benchmarks.register(rows=TCAVS, repeats=3)
def tcav_fits(network, repeats):
    """TCAV: after the forward passes, sets of 40 inputs and 192 channels, 20 inputs that are explained; twice as much of each."""
    ask = checks.get("tcav")
    studies = {"once": drawn_study(10, 5), TWICE: drawn_study(20, 5), TCAVS[2].measured: drawn_study(10, 10)}
    tasks = {name: lambda study=study: ask(study, seed=0, size=40) for name, study in studies.items()}
    tasks[TCAVS[3].measured] = lambda: ask(studies["once"], seed=0, size=40, sets=60)
    seconds = clock.interleaved(tasks, repeats)
    once = seconds["once"]
    figures = {row.name: Figure(seconds[row.measured] / once) for row in TCAVS[1:]}
    return {TCAVS[0].name: Figure(once / THREE_MINUTES, f"{once:.1f} s"), **figures}


def drawn_study(count, layers):
    """A study of some concepts and layers whose activations and gradients are drawn: `Study`."""
    rng, names = np.random.default_rng(0), [f"layer {place}" for place in range(layers)]

    def draw(inputs):
        return {name: rng.normal(size=(inputs, CHANNELS)).astype("float32") for name in names}

    sets = {f"concept {place}": draw(40) for place in range(count)}
    return Study("drawn", sets, draw(65 * 40), {"score": draw(20)}, draw(20), np.arange(20))
