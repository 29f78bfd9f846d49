"""Data of every kind: what a position is, how it is taken away and moved, and where data come from."""

import keras
import numpy as np
import pytest

import lab
from lab import kinds, lookup
from lab.attribution.noise import draw_noisy
from lab.data import Data
from lab.environment import tf
from lab.kinds import TABLE, TOKENS
from lab.sources import header_of, source_kind
from sanity import effects
from sanity.agreement import agreement
from sanity.bound_explainer import add_noise
from sanity.examination import measure
from sanity.removal import fills
from sanity.subject import Subject, subject
from tests import own_data
from tests.networks import network

# Three columns of very different size, the last of which never varies.
ROWS = np.stack([np.linspace(0, 1, 12), np.linspace(1000, 9000, 12)[::-1], np.full(12, 7.0)], axis=1).astype("float32")


def linear(columns=3, **options):
    model = keras.Sequential([keras.Input((columns,)), keras.layers.Dense(2)])
    model.layers[-1].set_weights([np.arange(2.0 * columns).reshape(columns, 2), np.zeros(2)])
    return network(model, **options)


# Kinds --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shape, dtype, name",
    [
        ((2, 8, 9, 3), "float32", "image"),
        ((2, 8, 9, 4, 3), "float32", "volume"),
        ((2, 8, 3), "float32", "series"),
        ((2, 8), "float32", "table"),
        ((2, 8), "int32", "tokens"),
    ],
)
def test_axes_and_dtype_say_the_kind(shape, dtype, name):
    inputs = np.zeros(shape, dtype)
    kind = kinds.kind_of(inputs)
    assert kind.name == name and kinds.KINDS[name] is kind
    assert kind.positions(inputs) == (shape[1:] if len(shape) == 2 else shape[1:-1])
    mask = np.zeros(kind.positions(inputs), bool)
    assert np.where(kind.over_features(mask), 1, inputs).shape == shape


# Removal and noise --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fill", ["mean", "typical", "donor", "flip", "uniform"])
def test_a_filled_column_takes_values_of_its_own(fill):
    """A row of 0.5, 5000 and 7 has a mean of 1669, which no column knows."""
    removed = np.ones(ROWS.shape, bool)
    filled = fills.get(fill)(ROWS, removed, np.random.default_rng(0))
    assert (filled >= ROWS.min(axis=0) - 1e-3).all() and (filled <= ROWS.max(axis=0) + 1e-3).all()


def test_ids_are_filled_with_ids_and_refused_a_mean():
    ids = np.array([[3, 9, 4, 0], [3, 8, 4, 0], [5, 9, 7, 2]], "int32")
    everywhere, rng = np.ones(ids.shape, bool), np.random.default_rng(0)
    assert not fills.get("pad")(ids, everywhere, rng).any()
    assert fills.get("typical")(ids, everywhere, rng)[0].tolist() == [3, 9, 4, 0]
    donors = fills.get("donor")(ids, everywhere, rng)
    assert all(set(donors[:, place]) <= set(ids[:, place]) for place in range(3))
    # Id 0 pads and is no word. Where no other text has a word, there is one of another place.
    assert donors[:2, 3].tolist() == [2, 2] and donors[2, 3] in (3, 9, 4, 8)
    for fill in ("mean", "blur", "flip", "uniform", "linear"):
        with pytest.raises(lab.Refused, match="'pad' or 'donor'"):
            fills.get(fill)(ids, everywhere, rng)


def test_columns_have_no_neighbours_to_blend():
    with pytest.raises(lab.Refused, match="neighbours"):
        fills.get("blur")(ROWS, np.ones(ROWS.shape, bool), None)


def test_noise_of_a_check_has_the_deviation_of_each_column():
    noisy = np.concatenate([add_noise(ROWS, seed, 0.1) for seed in range(400)])
    moved = (noisy - np.tile(ROWS, (400, 1))).std(axis=0)
    np.testing.assert_allclose(moved[:2], 0.1 * ROWS.std(axis=0)[:2], rtol=0.1)
    assert moved[2] == 0


def test_noise_of_a_method_has_the_deviation_of_each_column_and_none_without_variation():
    options = {
        "seed": np.array([0, 1], "int32"),
        "noise": np.float32(0.1),
        "share": np.float32(1),
        "column scales 0": ROWS.std(axis=0),
    }
    copies = draw_noisy(tf.constant(ROWS[:1]), None, options, tf.range(400), 0)[0].numpy()[0]
    np.testing.assert_allclose(copies.std(axis=0)[:2], 0.1 * ROWS.std(axis=0)[:2], rtol=0.15)
    assert (copies[:, 2] == 7).all()


def test_smoothgrad_of_a_table_needs_its_background():
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Lambda(lambda x: x**2), keras.layers.Dense(1, use_bias=False)]
    )
    model.layers[-1].set_weights([np.ones((3, 1))])
    with pytest.raises(lab.Refused, match="background=rows"):
        lab.smoothgrad(network(model), ROWS, lab.logit(0), seed=0)
    known = network(model, background=ROWS)
    maps = lab.smoothgrad(known, ROWS, lab.logit(0), samples=400, noise=0.5, seed=0, variant="variance")
    # The gradient 2x has the variance 4 (noise * deviation)^2, in every row alike.
    np.testing.assert_allclose(maps[:, :2], np.tile((ROWS.std(axis=0) ** 2)[:2], (12, 1)), rtol=0.25)
    assert not maps[:, 2].any()
    assert np.array_equal(lab.smoothgrad(network(model), ROWS, lab.logit(0), samples=1, noise=0.0, seed=0), 2 * ROWS)


def test_small_changes_are_a_share_of_the_column():
    """Weights of 1: the response to noise in a column is that column's deviation, and 0 where it never varies."""
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, use_bias=False)])
    model.layers[-1].set_weights([np.ones((3, 1))])
    subject = Subject(network(model, background=ROWS), ROWS, lab.logit(0), tuple(map(str, range(12))), classes=1)
    responses = effects.effects(subject, [subject.objective], seed=0).combine("small change")[0]
    assert (responses[:, 2] == 0).all() and (responses[:, 1] > 1000 * responses[:, 0]).all()


def test_integrated_gradients_of_a_table_start_at_its_mean_row():
    known = linear(background=ROWS)
    record = lab.explain(known, ROWS, lab.logit(1), method="integrated_gradients")
    np.testing.assert_allclose(record.maps, (ROWS - ROWS.mean(axis=0)) * [1, 3, 5], rtol=1e-3, atol=1e-2)
    np.testing.assert_allclose(record.gap, 0, atol=0.1)
    zero = lab.explain(known, ROWS, lab.logit(1), method="integrated_gradients", baseline=0.0)
    np.testing.assert_allclose(zero.maps, ROWS * [1, 3, 5], rtol=1e-4)


@pytest.mark.parametrize("rows", [np.zeros((1, 3)), np.zeros((4, 2)), np.full((4, 3), np.nan)])
def test_a_background_has_rows_of_the_table(rows):
    with pytest.raises(lab.Refused, match="Received"):
        linear(background=rows)


# Opening ------------------------------------------------------------------------------------------------------------------


class Frame:
    """What the lab asks of a pandas data frame."""

    columns, index = ("age", "income", "default"), ("a", "b")

    def to_numpy(self, dtype):
        return np.array([[30, 1e4, 1.0], [40, 2e4, 0.0]], dtype)


def test_a_frame_is_a_table_with_labels():
    data = lab.open_data(Frame(), label="default")
    assert data.kind == "table" and data.columns == ("age", "income") and data.labels == ("1", "0")
    assert data.names == ("row a", "row b") and data.inputs.tolist() == [[30, 1e4], [40, 2e4]]
    assert lab.open_data(Frame(), columns=["income", "age"]).inputs[0].tolist() == [1e4, 30]
    assert "age, income" in repr(data) and "2 rows" in repr(data)


def test_equal_rows_are_one_source(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b,who\n1,2,x\n3,4,y\n1,2,x\n")
    assert lab.open_data(path, columns=["a", "b"]).groups == (0, 1, 0)
    assert lab.open_data(path, columns=["a", "b"], group="who").groups == ("x", "y", "x")


def test_a_csv_with_paths_is_a_list_of_images(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("path,label\nx.png,cat\n")
    assert source_kind(path) == "images" and header_of(path) == ["path", "label"]
    path.write_text("a,b\n1,2\n")
    assert source_kind(path) == "table"


def test_a_csv_with_texts_has_their_labels_and_sources(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text('author,text,mood\nann,"good, and long",1\nbob,bad,0\nann,fine,1\n')
    data = lab.open_data(path, label="mood", group="author")
    assert data.kind == "text" and data.inputs == ("good, and long", "bad", "fine")
    assert data.labels == ("1", "0", "1") and data.groups == ("ann", "bob", "ann") and data.label == "mood"
    assert lab.open_data(path).labels is None and lab.open_data(path).groups == (0, 1, 2)
    assert data.spread(5).inputs == ("good, and long", "bad")


@pytest.mark.parametrize(
    ("rows", "options", "words"),
    [
        ("text,mood\na,1\n", {"label": "mod"}, "named as in the first line of .* Received: 'mod'. Nearest: mood"),
        ("text,mood\na,1\n", {"group": "text"}, "Received: 'text'"),
        ("text,mood\na,1\nb,\n", {"label": "mood"}, "Every text has a mood. Received: .*, text 2, without one"),
        ("text,mood\n ,1\n", {}, "at least one word. Received: .* text 1"),
        ("text,mood\na,1\n", {"columns": ["mood"]}, "columns= is for tables and arrays"),
        ("text,mood\na\n", {}, "rows of the same length"),
        ("text,text\na,b\n", {}, "its own name. Received: 'text' more than once"),
        ("text,mood\na,1\n,2\n", {}, "at least one word. Received: .* text 2"),
    ],
)
def test_texts_of_a_csv_are_refused_with_what_was_received(tmp_path, rows, options, words):
    (tmp_path / "list.csv").write_text(rows)
    with pytest.raises(lab.Refused, match=words):
        lab.open_data(tmp_path / "list.csv", **options)


def test_a_table_with_numbers_in_a_column_text_is_a_table(tmp_path):
    path = tmp_path / "counts.csv"
    path.write_text("text,links,spam\n12,3,0\n,1,1\n7.5,2,0\n")
    assert source_kind(path) == "table"
    path.write_text("text,links,spam\n12,3,0\n48,2,0\n")
    assert lab.open_data(path, label="spam").inputs.tolist() == [[12, 3], [48, 2]]
    assert lab.open_data(path, kind="text", label="spam").inputs == ("12", "48")
    path.write_text("text,spam\n2012,0\ngood,1\n")
    assert source_kind(path) == "text"


def test_lines_of_text_have_no_columns(tmp_path):
    (tmp_path / "lines.txt").write_text("good\nbad\n")
    with pytest.raises(lab.Refused, match="group= is a column of a .csv with a column text. Received: .*lines.txt"):
        lab.open_data(tmp_path / "lines.txt", group="author")


@pytest.mark.parametrize("batch", [None, 4])
def test_a_dataset_is_read_once_it_has_an_end(batch):
    inputs, labels = np.arange(20, dtype="float32").reshape(10, 2), np.arange(10) % 2
    dataset = tf.data.Dataset.from_tensor_slices((inputs, labels))
    dataset = dataset.batch(batch) if batch else dataset
    data = lab.open_data(dataset)
    assert data.kind == "table" and np.array_equal(data.inputs, inputs) and data.labels == tuple(map(str, labels))
    with pytest.raises(lab.Refused, match=r"take\(n\)"):
        lab.open_data(dataset.repeat())


@pytest.mark.parametrize("labelled", [True, False])
def test_batches_of_one_size_are_batches(labelled):
    inputs, labels = np.arange(2 * 9 * 4 * 3, dtype="float32").reshape(18, 4, 3), np.arange(18) % 2
    samples = tf.data.Dataset.from_tensor_slices((inputs, labels) if labelled else inputs)
    for size in (1, 4):
        batches = samples.batch(size, drop_remainder=True)
        for dataset in (batches, batches.prefetch(2), batches.rebatch(2, drop_remainder=True).unbatch().batch(3)):
            data = lab.open_data(dataset)
            assert data.kind == "series" and np.array_equal(data.inputs, inputs[: len(data)]) and len(data) >= 16
            assert data.labels == (tuple(map(str, labels[: len(data)])) if labelled else None)
        mapped = batches.map(lambda *element: element if labelled else element[0])
        assert np.array_equal(lab.open_data(mapped, kind="series").inputs, inputs[: len(inputs) // size * size])
    # What is no batch is not read as one, whatever its axes.
    assert np.array_equal(lab.open_data(samples).inputs, inputs)
    square = np.zeros((5, 5), "float32")
    assert lab.open_data(tf.data.Dataset.from_tensor_slices((square, np.arange(5)))).kind == "table"


def test_texts_and_arrays_are_data_too():
    data = lab.open_data(["good film", "dull"], ["1", "0"])
    assert data.kind == "text" and data.names == ("1: good film", "2: dull") and data.labels == ("1", "0")
    assert lab.open_data(np.zeros((2, 5, 3))).kind == "series"
    assert lab.open_data(np.zeros((2, 5), int)).kind == "tokens"
    assert lab.open_data(data) is data
    for source in ([], ["a", ""], np.zeros((0, 3)), np.array([None, {}]), np.zeros((2, 4, 4, 3)), [[1, 2], [3]]):
        with pytest.raises(lab.Refused, match="Received"):
            lab.open_data(source)
    with pytest.raises(lab.Refused, match="1 labels for 2"):
        lab.open_data(["a", "b"], ["x"])
    with pytest.raises(lab.Refused, match="kind='serie'.*series"):
        lab.open_data(np.zeros((2, 5, 3)), kind="serie")


def test_some_of_many_are_spread_over_all():
    data = lab.open_data(np.arange(200, dtype="float32").reshape(100, 2), np.arange(100) // 50)
    some = data.spread(5)
    assert some.labels == ("0", "0", "1", "1", "1") and some.names[0] == "row 1" and some.names[-1] == "row 100"
    assert data.spread(500).names == data.names


# Networks of text and of columns ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("functional", [False, True])
def test_a_model_of_strings_is_explained_behind_its_lookup(functional):
    model = own_data.sentiment()
    if functional:
        inputs = keras.Input((1,), dtype="string")
        x = inputs
        for layer in model.layers:
            x = layer(x)
        model = keras.Model(inputs, x)
    loaded = lab.load(model)
    data = lab.open_data(own_data.TEXTS)
    ids = data.inputs_of(loaded)
    assert np.allclose(loaded.model(ids), model(tf.constant([[text] for text in own_data.TEXTS])), atol=1e-6)
    assert [word for word in loaded.words(ids)[1] if word] == own_data.TEXTS[1].split()
    maps = lab.gradient_x_input(loaded, ids, lab.logit(1))
    assert maps.shape == ids.shape and not maps[np.asarray(ids) == 0].any()
    with pytest.raises(lab.Refused, match="own vocabulary"):
        lab.load(model, vocabulary=["good"])


def test_a_model_with_an_input_a_column_takes_one_table():
    model = own_data.named(["b", "a"])
    loaded = lab.load(model, as_table=True)
    assert loaded.columns == ["a", "b"]
    rows = np.random.default_rng(0).normal(size=(5, 2)).astype("float32")
    assert np.allclose(loaded.model(rows), model({"a": rows[:, :1], "b": rows[:, 1:]}), atol=1e-6)
    maps = lab.gradient(loaded, rows, lab.logit(0))
    np.testing.assert_allclose(maps, np.tile([2, 1], (5, 1)), rtol=1e-5)
    assert lab.load(model).columns is None


def test_a_vocabulary_has_each_word_once(tmp_path):
    model = keras.Sequential(
        [keras.Input((4,), dtype="int32"), keras.layers.Embedding(5, 2), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    path = tmp_path / "words.txt"
    path.write_text("good\ndull\nfilm\n")
    assert lab.load(model, vocabulary=path).tokenize(["Good, dull thing"]).tolist() == [[2, 3, 1, 0]]
    for words in ("good\ngood\n", ""):
        path.write_text(words)
        with pytest.raises(lab.Refused, match="Received"):
            lab.load(model, vocabulary=path)


# After a second reading ---------------------------------------------------------------------------------------------------


def test_equal_rows_and_rows_of_one_group_are_one_source():
    rows = np.repeat(np.arange(2, dtype="float32")[:, None], 20, axis=0)
    data = Data(tuple(map(str, range(40))), rows, kind="table", groups=(0,) * 20 + (1,) * 20)
    assert data.spread(48).names == ("0", "20")
    each_its_own = Data(tuple(map(str, range(40))), rows, kind="table")
    assert len(each_its_own.spread(8)) == 8


@pytest.mark.parametrize(
    ("source", "arguments", "words"),
    [
        (np.zeros((3, 2), "float32"), {"label": "y"}, "label= beside an array"),
        (np.zeros((3, 2), "float32"), {"group": "y"}, "group= beside an array"),
        (["a text", "another"], {"columns": ["a"]}, "columns= beside a list of texts"),
        ("table.csv", {"labels": [0, 1]}, "labels= beside a path"),
    ],
)
def test_an_argument_that_is_not_read_is_refused(source, arguments, words):
    with pytest.raises(ValueError, match=words):
        lab.open_data(source, **arguments)


def test_a_text_ends_at_the_end_of_its_line_alone(tmp_path):
    path = tmp_path / "texts.txt"
    path.write_bytes("one\u2028two\r\nthree\x0cfour\n".encode())
    assert lookup.read_lines(path, "A text") == ["one\u2028two", "three\x0cfour"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["good", "", "dull"], "none at place 1"),
        (["Good"], "which no text would match"),
        (["it's"], "no text would match"),
    ],
)
def test_words_that_no_text_would_match_are_refused(words, message):
    with pytest.raises(ValueError, match=message):
        lookup.lookup_of(words)


def test_ids_beyond_a_vocabulary_are_shown_as_numbers():
    tokens = lookup.read_lookup(lookup.lookup_of(["good"])).tokens([2, 0, 9])
    assert [token.text for token in tokens] == ["good", "", "9"]


def test_a_layer_before_the_lookup_is_not_left_out():
    class Lower(keras.layers.Layer):
        def call(self, texts):
            return tf.strings.regex_replace(texts, "good", "bad")

        def compute_output_shape(self, shape):
            return shape

        def compute_output_spec(self, texts):
            return keras.KerasTensor(texts.shape, "string")

    layers = [keras.layers.TextVectorization(vocabulary=["good", "bad"]), keras.layers.Embedding(5, 2)]
    assert lookup.split_lookup(keras.Sequential([keras.Input((), dtype="string"), *layers])) is not None
    assert lookup.split_lookup(keras.Sequential([keras.Input((), dtype="string"), Lower(), *layers])) is None


def test_columns_that_every_row_has_in_one_order_agree_by_chance_once_in_twenty():
    rng, above = np.random.default_rng(0), 0
    for seed in range(200):
        patterns = rng.random((2, 10))
        maps = {name: pattern * rng.uniform(0.8, 1.2, (12, 10)) for name, pattern in zip("ab", patterns)}
        numbers = agreement(maps, seed=seed, draws=200, kind=TABLE)
        above += numbers.rank[0, 1] > numbers.null[0, 1]
    assert above <= 20


def test_padding_is_no_agreement():
    rng = np.random.default_rng(0)
    kept = np.zeros((12, 40), bool)
    kept[:, :8] = True
    maps = {name: np.where(kept, rng.random((12, 40)), 0) for name in "ab"}
    assert agreement(maps, seed=0, kind=TOKENS).rank[0, 1] > 0.7
    assert abs(agreement(maps, seed=0, kind=TOKENS, kept=kept).rank[0, 1]) < 0.4


def test_maps_of_a_layers_units_are_no_maps_of_columns():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(4, "tanh"), keras.layers.Dense(3)])
    rows = np.random.default_rng(0).normal(size=(24, 6)).astype("float32")
    network = lab.load(model, background=rows)
    answered = subject(network, Data(tuple(map(str, range(24))), rows, kind="table", columns=tuple("abcdef")))
    evidence, _ = measure("class_crossing", lab.layer_gradient_x_activation, answered, seed=0)
    assert [gate.status for gate in evidence.gates] == ["not applicable"]
    assert "a number for every column" in evidence.gates[0].words
