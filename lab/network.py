"""Network: a Keras model made observable, without cutting or copying it.

    network = Network(model)
    network.layers()                      every layer, with its path and shape
    network.trace(inputs, reads=[path])   inside a tf.function: outputs, logits and activations
    with network.weights(state): ...      other weights in place, put back on leaving

The only object of the lab with state: compiled routines and their trace count.
"""

import contextlib
import hashlib
import itertools
import numbers
import threading
import time
from dataclasses import replace

import numpy as np

from lab import chunks, defaults, displays, layout, products, snapshot, taps, tokens
from lab.address import AXES_OF_PORTS, addresses_of_calls, axes_of_rank, is_port, layer_path, parse
from lab.environment import keras, on_gpu, tf
from lab.host import HostModel
from lab.inputs import (
    AcceptedInputs,
    accept_inputs,
    allow_floats,
    check_input,
    declared_inputs,
    masked_steps,
    zero_sample,
)
from lab.layers import Layer, enclosing_loop, variables, walk
from lab.lookup import refuse_text
from lab.objectives import OUTPUTS, check, refuse_no_objective
from lab.outputs import name_outputs
from lab.recording import Recording
from lab.refusal import Refused
from lab.registry import nearest
from lab.text import are_texts, from_texts
from lab.text_inputs import find_text_inputs
from lab.tokenizer import refuse_unreadable

GIB = 1 << 30
# What a network can be asked for; each needs those before it.
CAPABILITIES = ("scores", "gradients", "layers", "weights")
# Seconds that a thread waits while another one has swapped the weights. A check swaps for less at a time.
PATIENCE = 20
# Samples of the trace that attention is looked for in: a prime that is hardly a number of heads or of tokens.
SAMPLES = 23
# What stands for a length that the model leaves free, where only a number tells samples from something else.
STEPS = 29


class Trace:
    """The graph tensors of one forward pass: `outputs` by name and `activations` by path."""

    def __init__(self, outputs, activations, folded, turned=False):
        self.outputs = outputs
        self.activations = activations
        self.folded = folded
        self.turned = turned

    @property
    def numeric(self):
        """The names of the outputs that have numbers for each sample, and no text or one number for all: list of str."""
        return [name for name, output in self.outputs.items() if output.dtype != tf.string and output.shape.rank != 0]

    def logits(self, name=None):
        """The pre-softmax or pre-sigmoid tensor of an output, [batch, classes]; the output itself where its head is linear."""
        output = next(iter(self.outputs.values())) if name is None else self.outputs[name]
        logits = taps.preactivation(output, heads_only=True)[0]
        return layout.to_channels_last(logits) if self.turned and len(logits.shape) > 3 else logits


class Network:
    """A Keras 3 model that the lab can observe.

    A channels-first model is given images with channels last, and its maps have channels last too.

    Args:
        model: any built Keras model.
        name: str; None: the model's name.
        preprocessing: `lab.preprocessing.Preprocessing`, or None where inputs are given ready-made.
        classes: list of class names, or None.
        memory: bytes that one chunk of work may take.
        fold: whether each BatchNormalization is folded into the convolution before it.
        jit: whether XLA is used; None: only where there is a GPU.
        spec: TensorSpecs of the inputs, for a model that does not declare them.
        background: float [rows, columns], rows of the data that a table input comes from. The mean and the deviation of each
            column are taken of them. None: not known.
        columns: list of str, the names of a table's columns where the model names them, or None.
        tokenizer: `lab.tokenizer.Tokenizer` that gives the ids of texts, or None.
    """

    def __init__(
        self,
        model,
        *,
        name=None,
        preprocessing=None,
        classes=None,
        memory=2 * GIB,
        fold=True,
        jit=None,
        spec=None,
        background=None,
        columns=None,
        tokenizer=None,
    ):
        self.model = model
        self.name = name or model.name
        self.preprocessing = preprocessing
        self.classes = classes
        self.columns = columns
        self.tokenizer = tokenizer
        self.memory = memory
        self.fold = fold
        self.jit = on_gpu() if jit is None else jit
        self.compiled = {}
        self._lazy = {}
        # Held while weights are swapped and while a routine runs, so that no thread sees another's weights.
        # An `Embedded` network shares the lock, and the list of threads that have swapped the weights.
        self.lock, self._swapping = threading.RLock(), []
        self.traces = 0
        self.halved = []
        # The inputs that the model declares; `spec` has those that the lab accepts.
        self.declared = declared_inputs(model) if spec is None else spec
        _refuse_uncompiled()
        self._build()
        self.tree = walk(model)
        self.channels_first = layout.channels_first(self.tree.values())
        self.accepted = self._accept_inputs()
        spec = self.accepted.spec
        self.spec = tf.nest.map_structure(layout.spec_channels_last, spec) if self.channels_first else spec
        self.text_inputs = find_text_inputs(self.places())
        # The attributes that a call of the model writes: known once it was surveyed.
        self._notes, self._wiring = frozenset(), None
        # Tensors outside of the loop that is being traced.
        self._loop_weights = None
        self.variables = variables(self.tree)
        self._held = snapshot.held_variables(self.tree)
        self._refuse_nan()
        self._survey()
        self.background = None if background is None else self.check_background(background)

    def copy(self):
        """The same network with weights of its own.

        Returns:
            `Network`.

        Raises:
            Refused: for a model that Keras does not clone.
        """
        try:
            model = keras.models.clone_model(self.model)
            model.set_weights(self.model.get_weights())
        except (TypeError, ValueError, NotImplementedError, RuntimeError) as error:
            raise Refused(
                f"A network is copied as keras.models.clone_model copies it. Received: {self.name}: {error}. Give the path of a saved model."
            ) from error
        settings = ("name", "preprocessing", "classes", "memory", "fold", "jit", "background", "columns", "tokenizer")
        return Network(model, spec=self.declared, **{name: getattr(self, name) for name in settings})

    def __repr__(self):
        return displays.as_text(displays.network_title(self), displays.network_rows(self))

    def _repr_html_(self):
        return displays.as_html(displays.network_title(self), displays.network_rows(self))

    # Properties ----------------------------------------------------------------------------------------------------------

    @property
    def capabilities(self):
        """What the network can be asked for, a part of `CAPABILITIES`: all of them, or scores alone for a function; tuple of str."""
        return self.model.capabilities if isinstance(self.model, HostModel) else CAPABILITIES

    def refuse_without(self, capability, what):
        """Raise Refused where the network lacks a capability.

        Args:
            capability: one of `CAPABILITIES`, "attention" or "trees".
            what: str, what needs it, such as "gradcam".

        Raises:
            Refused: where it lacks it.
        """
        if capability == "attention" and "layers" in self.capabilities:
            self._refuse_without_attention(what)
        elif capability not in self.capabilities:
            owner = "an ensemble whose method is given to lab.function" if capability == "trees" else "a Keras network"
            kind = "a Python function" if isinstance(self.model, HostModel) else "a Keras model"
            raise Refused(
                f"{what} needs the {capability} of {owner}. Received: {self.name}, {kind}, which can be asked for {', '.join(self.capabilities)} alone."
            )

    def _refuse_without_attention(self, what):
        if not self.attentions:
            raise Refused(
                f"{what} needs attention, a softmax that is multiplied with values of each sample. Received: {self.name}, which has none."
            )

    @property
    def most_rows(self):
        """Rows of a chunk at most: int."""
        return self.model.batch if isinstance(self.model, HostModel) else chunks.MOST

    @property
    def turns_at_once(self):
        """Turns of a loop that may be under way at once: int.

        Two use the cores better than one of twice the size, where a turn does nothing but compute. XLA takes one by one.
        """
        computes_only = self._recording.can_replay and not self._recording.effects
        return 2 if computes_only and not self.jit and chunks.size(self) > 1 else 1

    def layers(self):
        """Every layer that runs, in the order of its last call.

        Returns:
            list of `Layer` (path, type, shape, parameters, calls).
        """
        return list(self._layers.values())

    @property
    def size(self):
        """Rows and columns of the network's one image input, which may have other inputs beside it: (int, int), or None."""
        if self.image_place is None:
            return None
        rows, columns = self.places()[self.image_place][1].shape[1:3]
        return None if None in (rows, columns) else (rows, columns)

    @property
    def image_place(self):
        """The place of the one image input [batch, rows, columns, channels] among the flattened inputs: int, or None."""
        images = [place for place, (_, spec) in enumerate(self.places()) if len(spec.shape) == 4]
        return images[0] if len(images) == 1 else None

    def with_table(self, images, table):
        """The inputs of a network that takes one image and one table.

        Args:
            images: as `preprocess` returns them.
            table: rows [images, columns].

        Returns:
            the image and the table as checked arrays, in the structure of `spec`.

        Raises:
            Refused: for a network of other inputs.
        """
        tables = [place for place, (_, spec) in enumerate(self.places()) if len(spec.shape) == 2]
        if len(self.places()) != 2 or self.image_place is None or len(tables) != 1:
            raise Refused(
                f"A table is for networks that take one image and one table. Received: {self.name}, which takes {self._describe_inputs()}."
            )
        leaves = [table, table]
        leaves[self.image_place] = images
        return self.inputs(tf.nest.pack_sequence_as(self.spec, leaves))

    def find_columns(self, names):
        """Where the columns that the model names stand in a table.

        Args:
            names: list of str, the columns of the table.

        Returns:
            list of int, in the order of the network.

        Raises:
            Refused: for a column that the table does not have.
        """
        names = list(names)
        missing = [name for name in self.columns if name not in names]
        if missing:
            raise Refused(
                f"A table has the columns that the network names. Received: none called {missing[0]!r}. {nearest(missing[0], names)}"
            )
        return [names.index(name) for name in self.columns]

    def tokenize(self, texts):
        """Texts as the token ids that the network takes, with their mask and segments where it takes them too.

        Args:
            texts: list of str.

        Returns:
            int [texts, tokens], in the structure of the inputs.

        Raises:
            Refused: for a network without a tokenizer, a single text, and a text without a known word; of a function also for
                words that its data do not have.
        """
        if isinstance(texts, str):
            raise Refused(f"Texts come in a list. Received: {texts[:40]!r}. Give [text].")
        if self.tokenizer is None or self.text_inputs is None:
            raise Refused(
                f"Text needs the vocabulary of the network. Received: {self.name}, which takes {self._describe_inputs()}, and no vocabulary=. Give a text file with one word a line, tokenizer= with a tokenizer.json or a preprocessor of KerasHub, or a model with its TextVectorization."
            )
        if isinstance(self.model, HostModel):
            self.model.refuse_texts(texts)
        texts = from_texts(texts).inputs
        encoded = self.tokenizer.encode(texts, self.places()[self.text_inputs.ids][1].shape[1])
        refuse_unreadable(self.tokenizer, encoded, texts, self.name)
        return self.inputs(self.text_inputs.arrange(self.spec, encoded))

    def tokens(self, inputs):
        """What stands at each position of texts.

        Args:
            inputs: arrays that the network takes.

        Returns:
            list over texts of tuples of `lab.tokenizer.Token`; None where no tokenizer is known, or the inputs are no text.
        """
        if self.tokenizer is None or self.text_inputs is None:
            return None
        leaves, mask = tf.nest.flatten(inputs), self.text_inputs.mask
        present = [None] * len(leaves[0]) if mask is None else np.asarray(leaves[mask]) > 0
        return [self.tokenizer.tokens(*row) for row in zip(leaves[self.text_inputs.ids], present)]

    def words(self, inputs):
        """The text of every token: list of lists of str, where padding is an empty text; None where no tokenizer is known."""
        tokens = self.tokens(inputs)
        return None if tokens is None else [[token.text for token in row] for row in tokens]

    @property
    def main_place(self):
        """The place of the input that is shown, among the flattened inputs: the image, the token ids, or the first; int."""
        if self.image_place is not None:
            return self.image_place
        return 0 if self.text_inputs is None else self.text_inputs.ids

    @property
    def table_place(self):
        """The place of the one table input [batch, columns] among the flattened inputs: int, or None."""
        places = enumerate(spec for _, spec in self.places())
        tables = [place for place, spec in places if len(spec.shape) == 2 and spec.dtype.is_floating]
        return tables[0] if len(tables) == 1 else None

    def check_background(self, rows):
        """Rows of the data behind a table input as an array.

        Args:
            rows: numbers [rows, columns].

        Returns:
            float32 [rows, columns].

        Raises:
            Refused: for a network without one table, fewer than two rows, other columns, and what is not finite.
        """
        columns = None if self.table_place is None else self.places()[self.table_place][1].shape[1]
        rows = np.asarray(rows, "float32")
        if self.table_place is None or rows.ndim != 2 or len(rows) < 2 or columns not in (None, rows.shape[1]):
            raise Refused(
                f"A background is two or more rows of the one table that a network takes. Received: an array {rows.shape} for {self.name}, which takes {self._describe_inputs()}."
            )
        if not np.isfinite(rows).all():
            raise Refused("A background has finite numbers. Received: NaN or infinity.")
        return rows

    @property
    def shapes(self):
        """Output shape by address, dict of str to tuple; later calls of a shared layer are under `path@k`."""
        return self._shapes

    def shape_of(self, address):
        """The shape of what is at an address, of a layer's output or of attention: tuple, None where no array is there."""
        place = parse(address)
        return self._attention_shape(place) if place is not None and place.port else self._shapes.get(address)

    def axes(self, address):
        """The kinds of the axes of what is at an address, such as ("batch", "rows", "columns", "channels").

        Returns:
            tuple of str; () where no array is there.

        Raises:
            Refused: for an address that the network does not have.
        """
        self.refuse_unknown(address)
        place, shape = parse(address), self.shape_of(address)
        if place.port:
            return AXES_OF_PORTS[place.port]
        embeds = any(not leaf.dtype.is_floating for leaf in tf.nest.flatten(self.spec))
        return axes_of_rank(len(shape), embeds or self.image_place is not None) if isinstance(shape, tuple) else ()

    def _attention_shape(self, place):
        row = self.attentions.get(str(replace(place, port="weights")))
        if row is None:
            return None
        return {
            "weights": (None, row.heads, row.queries, row.keys),
            "values": (None, row.heads, row.keys, None),
            "heads": (None, row.queries, row.heads),
        }[place.port]

    def preprocess(self, images, *, fit="squash"):
        """Convert RGB images to inputs of the network.

        Args:
            images: one image, a list or a batch, in 0..255 and of any size.
            fit: "squash" or "crop", how images are brought to the network's size.

        Returns:
            float32 [images, rows, columns, channels].

        Raises:
            Refused: for a network that does not take one image.
        """
        if self.image_place is None:
            raise Refused(
                f"Images are for networks that take one image. Received: {self.name}, which takes {self._describe_inputs()}. Give arrays in Python: lab.explain(network, arrays, ...)."
            )
        return self._preprocessing().preprocess(images, self.size, fit=fit)

    def deprocess(self, inputs):
        """Convert inputs of the network to RGB images in 0..255, float32 of the same shape."""
        return self._preprocessing().deprocess(inputs)

    def output_name(self, name=None):
        """The name of an output, or of the first one where None is given: str.

        Raises:
            Refused: for an unknown name.
        """
        if name is not None and name not in self.outputs:
            raise Refused(f"Unknown output of {self.name}. Received: {name!r}. {nearest(name, self.outputs)}")
        return next(iter(self.outputs)) if name is None else name

    def two_classes(self, output=None):
        """Whether an output is one unit (at each position) for two classes: a sigmoid, or a unit with two class names."""
        name = self.output_name(output)
        return _unit_count(self.outputs[name]) == 1 and (self.heads[name] == "Sigmoid" or self._names_fit(name, 2))

    def _names_fit(self, output, count):
        """Whether there are as many class names as `count`, and they belong to this output and not to another of as many units."""
        others = [_unit_count(shape) for name, shape in self.outputs.items() if name != output]
        return len(self.classes or ()) == count and (_unit_count(self.outputs[output]) == count or count not in others)

    @property
    def binary(self):
        """Whether the first output is one unit for two classes, a sigmoid or a unit with two class names: bool."""
        return len(next(iter(self.outputs.values()))) < 3 and self.two_classes()

    def classes_in(self, output=None):
        """How many classes an output has: int, 2 for one sigmoid unit; None where the model leaves the number free."""
        return 2 if self.two_classes(output) else _unit_count(self.outputs[self.output_name(output)])

    @property
    def class_count(self):
        """How many classes the first output has: int, or None where the model leaves the number free."""
        return self.classes_in()

    def names_in(self, output=None):
        """The class names of an output: list of str, or None where none are known or they belong to another output."""
        count = self.classes_in(output)
        fit = len(self.outputs) == 1 or count is None or self._names_fit(self.output_name(output), count)
        return self.classes if fit else None

    def class_index(self, name, output=None):
        """The index of a class of an output.

        Args:
            name: the class's name, its index, or its index as text.
            output: the output's name; None: the first.

        Returns:
            int.

        Raises:
            Refused: for an unknown name (the nearest are named), a name that several classes have, and an index out of range.
        """
        names, count = self.names_in(output) or [], self.classes_in(output)
        places = _indices_named(names, name) if isinstance(name, str) else []
        if len(places) > 1:
            raise Refused(
                f"A class name must be unique. Received: {name!r}, the name of the classes {places}: give the index."
            )
        index = places[0] if places else _as_index(name)
        if index is None:
            raise Refused(f"Unknown class of {self.name}. Received: {name!r}. {nearest(name, names)}")
        if count is not None and not 0 <= index < count:
            raise Refused(f"A class of {self.name} is between 0 and {count - 1}. Received: {name!r}.")
        return index

    def class_name(self, index, output=None):
        """The name of a class of an output: str; its index as text where it has no name.

        Args:
            index: int, the index of the class.
            output: the output's name; None: the first.

        Returns:
            str.
        """
        names = self.names_in(output) or ()
        return names[index] if index < len(names) else str(index)

    def check(self, objective):
        """Check that an objective can be asked of this network.

        Raises:
            Refused: for what is no objective, and for one with a layer, class or channel that the network lacks.
        """
        refuse_other(self, objective)
        self._refuse_integer_output(objective)
        attention = [path for path in objective.paths if is_port(path)]
        for path in attention:
            self.refuse_unknown(path)
        check(objective, self._shapes | {path: self.shape_of(path) for path in attention}, self.outputs)

    def _refuse_integer_output(self, objective):
        """Raise Refused for an objective of an integer output, such as an argmax."""
        for _, term in objective.terms:
            name = (term.where or next(iter(self.outputs))) if term.kind in OUTPUTS else None
            if name in self.integer_outputs:
                raise Refused(
                    f"Only a floating number can be explained. Received: {term.kind}(...) of {name!r}, {self.integer_outputs[name]}. Explain the layer that it is computed from: lab.neuron({self.last_hidden()!r}, index)."
                )

    def inputs(self, inputs):
        """Check inputs and convert them to arrays of the dtypes that the lab takes, in the network's own structure.

        Raises:
            Refused: for a wrong structure or shape, an empty batch, NaN or infinity, ids out of range, and images in
                whole numbers where the network takes others.
        """
        refuse_text(self)
        if self.tokenizer is not None and are_texts(inputs):
            return self.tokenize(inputs)
        inputs = self._of_frame(inputs)
        flat, declared_specs = self._flatten(inputs), tf.nest.flatten(self.declared)
        arrays = [
            check_input(array, spec, name, declared_spec, self.accepted.known.get(place))
            for place, (array, (name, spec), declared_spec) in enumerate(zip(flat, self.places(), declared_specs))
        ]
        if len({len(array) for array in arrays}) > 1:
            raise Refused(f"All inputs have one batch size. Received: {[len(array) for array in arrays]}.")
        if self.image_place is not None and self.preprocessing is not None:
            self.preprocessing.refuse_raw(np.asarray(flat[self.image_place]))
        return tf.nest.pack_sequence_as(self.spec, arrays)

    def _of_frame(self, inputs):
        """A data frame as an array, its columns by name where the network knows them; all else as it is."""
        if not (hasattr(inputs, "columns") and hasattr(inputs, "to_numpy")):
            return inputs
        names = [str(name) for name in inputs.columns]
        frame = inputs if self.columns is None else inputs.iloc[:, self.find_columns(names)]
        try:
            return frame.to_numpy("float64")
        except (TypeError, ValueError) as error:
            raise Refused(f"A data frame has numbers. Received: {error}. Write categories as numbers.") from error

    def warn_of_range(self, inputs):
        """Warn of images far outside of what the network takes, where that is known.

        Args:
            inputs: arrays as `inputs` returns them.
        """
        if self.image_place is not None and self.preprocessing is not None:
            self.preprocessing.warn_of_range(tf.nest.flatten(inputs)[self.image_place])

    def masks(self, inputs):
        """Which numbers of each input belong to masked steps, inside a trace or outside.

        Returns:
            list over flattened inputs of bool tensors, or None for an input without a mask.
        """
        padding = self.accepted.padding
        leaves = tf.nest.flatten(inputs)
        masks = [masked_steps(leaf, padding[place]) if place in padding else None for place, leaf in enumerate(leaves)]
        return self.text_inputs.masks(leaves, masks) if self.text_inputs else masks

    def kept_mask(self, inputs):
        """Which numbers of the inputs must not change: those of padding and of masked steps.

        Returns:
            bool arrays in the structure and shape of the inputs, or None where the network masks nothing.
        """
        if not self.accepted.padding and not (self.text_inputs and self.text_inputs.beside):
            return None
        inputs = tf.nest.map_structure(tf.convert_to_tensor, inputs)
        pairs = zip(self.masks(inputs), tf.nest.flatten(inputs))
        leaves = [np.zeros(leaf.shape, bool) if mask is None else mask.numpy() for mask, leaf in pairs]
        return tf.nest.pack_sequence_as(inputs, leaves)

    def keep(self, inputs, changed):
        """The changed inputs, with the masked steps of the original inputs put back: arrays in their structure.

        Args:
            inputs: arrays that the network takes, the original ones.
            changed: arrays in the structure and shape of the inputs.

        Returns:
            arrays in the structure of the inputs.
        """
        kept = self.kept_mask(inputs)
        return changed if kept is None else tf.nest.map_structure(np.where, kept, inputs, changed)

    # Tracing ------------------------------------------------------------------------------------------------------------

    def trace(self, inputs, reads=(), interceptors=None, replaced=None):
        """Run the model on graph tensors while its layers are tapped; only inside a tf.function.

        Args:
            inputs: tensors in the structure that the network takes.
            reads: addresses of layers whose outputs are kept, or of attention inside them; `path@k` is call k of a shared layer.
            interceptors: interceptors of `lab.taps` that are used in place of the folding of BatchNormalization.
            replaced: dict of address to a tensor that replaces what is there; of attention also to a function of that.

        Returns:
            `Trace`.
        """
        if reads or interceptors or replaced:
            self.refuse_without("layers", "A layer")
        reader = self._reader()
        for address in (*reads, *(replaced or ())):
            self.refuse_unknown(address)
        ports = {address for address in (*reads, *(replaced or ())) if is_port(address)}
        if any(is_port(address) and parse(address).port == "heads" for address in replaced or ()):
            raise Refused("What heads pass on is only read. Received: a replacement. Replace their weights or values.")
        replacements = self._index_replacements(replaced or {})
        exempt = frozenset(id(self.tree[layer_path(address)]) for address in reads)
        if interceptors is None and not replaced and not ports and self._can_replay(inputs, exempt):
            return self._replay(inputs, reads)
        if interceptors is None:
            interceptors = [taps.Folder(exempt)] if self.fold else []
        if replaced:
            interceptors = [taps.Replacer(replacements, self._channels_first_check), *interceptors]
        watcher = products.Watcher(reader, replacements)
        with (
            taps.intercept(self.tree.values(), reader, *interceptors),
            watcher.watch() if ports else contextlib.nullcontext(),
        ):
            outputs = self._name_outputs(self.call(inputs))
        folded = sum(len(getattr(interceptor, "layers", ())) for interceptor in interceptors)
        for address in ports.intersection(replaced or ()):
            self._product_at(address, watcher)
        read = {
            address: self._read_attention(address, watcher) if address in ports else self._read(address, reader)
            for address in reads
        }
        return Trace(outputs, read, folded, self.channels_first)

    def _can_replay(self, inputs, read):
        """Whether the call that was recorded when the network was surveyed is what a trace would do: bool."""
        return (
            self.fold == self._surveyed_fold
            and read.isdisjoint(self._folded)
            and self._recording.fits(inputs, self.wiring)
        )

    def surveyed_logits(self, spec):
        """The logits of `Trace.numeric` outputs as they were traced when the network was surveyed.

        Args:
            spec: TensorSpecs in the structure of the inputs.

        Returns:
            traced function of inputs -> dict of output name to float32; None where another trace would differ.
        """
        return None if self.jit or not self._can_replay(spec, frozenset()) else self._surveyed

    @contextlib.contextmanager
    def weights_before_loop(self):
        """While open, all turns of a loop share the weights that are computed once, such as folded ones; only inside a tf.function.

        Open it around the loop, in the graph that the loop is in.
        """
        self._loop_weights = self._recording.add_weights() if self._recording.can_replay else None
        try:
            yield
        finally:
            self._loop_weights = None

    def _replay(self, inputs, reads):
        reader, (outputs, calls) = self._reader(), self._recording.structure
        layers = {id(self.tree[layer_path(address)]) for address in reads}
        wanted = outputs, {layer: calls[layer] for layer in layers.intersection(calls)}
        outputs, reader.outputs = self._recording.replay(inputs, wanted, self._loop_weights)
        read = {address: self._read(address, reader) for address in reads}
        return Trace(outputs, read, len(self._folded), self.channels_first)

    def _reader(self):
        return taps.Reader(self._channels_first_check)

    @property
    def _channels_first_check(self):
        """`(layer, tensor) -> bool`, whether a layer's output has channels first; None where no output has."""
        return layout.puts_channels_first if self.channels_first else None

    def _index_replacements(self, replaced):
        replacements = {}
        for address, tensor in replaced.items():
            place = parse(address)
            inside = (place.number, place.port) if place.port else ()
            replacements[id(self.tree[place.path]), place.call, *inside] = tensor
        return replacements

    def _read_attention(self, address, watcher):
        product, port = self._product_at(address, watcher), parse(address).port
        return products.head_lengths(product) if port == "heads" else product.tensors[port]

    def _product_at(self, address, watcher):
        place = parse(address)
        product = watcher.products.get((id(self.tree[place.path]), place.call, place.number))
        if product is None:
            raise Refused(f"Attention is read where it runs. Received: {address!r}, which does not run in this pass.")
        return product

    def _read(self, address, reader):
        place = parse(address)
        outputs = reader.outputs.get(id(self.tree[place.path]), [])
        tensor = outputs[place.call] if place.call < len(outputs) else None
        loop = enclosing_loop(place.path, self.tree)
        if loop or not reader.sees(tensor):
            reason = (
                f"it runs inside the loop of {loop!r}, whose own output can be read"
                if loop
                else "it does not run in this pass, runs inside a loop, or returns several arrays"
            )
            raise Refused(f"A layer can be read if it returns one array per call. Received: {address!r}: {reason}.")
        return tensor

    def last_spatial(self):
        """The address of the last layer with positions, or of the last tokens that hold the patches of an image.

        The layer's output is [batch, ..., channels] with as many axes as the input. Tokens count where they influence the outputs.

        Raises:
            Refused: where there is none.
        """
        if "spatial" not in self._lazy:
            self._lazy["spatial"] = defaults.last_spatial(self)
        return self._lazy["spatial"]

    @property
    def grids(self):
        """The layers whose tokens hold the patches of an image: dict of address to `lab.tokens.Grid`."""
        if "grids" not in self._lazy:
            self._lazy["grids"] = tokens.grids(self, defaults.candidates(self))
        return self._lazy["grids"]

    @property
    def attentions(self):
        """The attention that is computed in the network: dict of the address of its weights to `lab.products.Attention`.

        In the order in which it runs. Attention is any softmax that is multiplied with values, in any layer.
        """
        if "attentions" not in self._lazy:
            self._lazy["attentions"] = {} if isinstance(self.model, HostModel) else self._survey_attention()
        return self._lazy["attentions"]

    def _survey_attention(self):
        watcher = self._watch_call(None)
        # With a free length the first axis may be unknown, which may be samples or samples times heads.
        is_unknown = any(product.tensors["weights"].shape[0] is None for product in watcher.products.values())
        fixed = self._watch_call(STEPS) if is_unknown else None
        return products.attentions(watcher, self.tree, SAMPLES, fixed)

    def _watch_call(self, length):
        """The `lab.products.Watcher` of one call; `length` stands for a free one, and None is returned where it does not fit."""
        watchers = []

        def trace_call(inputs):
            reader = self._reader()
            watchers.append(products.Watcher(reader))
            with taps.intercept(self.tree.values(), reader), watchers[-1].watch():
                self.call(inputs)

        def spec_of(leaf):
            # A fixed number of samples, because the first axis of attention may hold something else than samples.
            sides = [length if side is None else side for side in leaf.shape[1:]]
            return tf.TensorSpec([SAMPLES, *sides], leaf.dtype)

        try:
            tf.function(trace_call, autograph=False).get_concrete_function(tf.nest.map_structure(spec_of, self.spec))
        except (ValueError, TypeError, tf.errors.InvalidArgumentError):
            if length is None:
                raise
            return None
        return watchers[-1]

    def last_hidden(self):
        """The address of the last layer before the outputs, whatever its axes.

        Raises:
            Refused: where there is none.
        """
        return defaults.last_hidden(self)

    def default_layer(self, resolution):
        """The address of the layer that a method uses where none is named.

        Args:
            resolution: the method's tag. "layer": the last layer with positions, as a CAM needs. "activation": the
                same, or the last hidden layer of a network without positions. "attention": the weights of the last attention.

        Returns:
            str.
        """
        if resolution == "attention":
            return list(self.attentions)[-1]
        try:
            return self.last_spatial()
        except Refused:
            if resolution != "activation":
                raise
        return self.last_hidden()

    def smooth_activations(self):
        """Names of activation functions that no rule of `lab.activation_rules` reaches, such as "gelu": list of str."""
        activations = {getattr(layer, "activation", None) for layer in self.tree.values()}
        return sorted({activation.__name__ for activation in activations if activation is not None} - _RULED)

    def refuse_unknown(self, address):
        """Raise Refused for an address that no layer has, and name the nearest ones."""
        if not isinstance(address, str):
            raise Refused(f"A layer is named by its address. Received: {address!r}. {nearest('', self.readable)}")
        place = parse(address)
        if place is not None and place.port:
            self._refuse_unknown_attention(address, place)
        elif place is None or place.path not in self.tree or not place.path:
            raise Refused(f"Unknown layer. Received: {address!r}. {nearest(address, self.readable)}")

    def _refuse_unknown_attention(self, address, place):
        names = [str(replace(parse(name), port=place.port)) for name in self.attentions]
        if address not in names:
            raise Refused(f"Unknown attention. Received: {address!r}. {nearest(address, names)}")

    def check_positions(self, address, axes=None):
        """The address itself, once its layer has been checked for positions.

        Args:
            address: the address of a layer.
            axes: how many axes of positions it must have (2: rows and columns); None: any number.

        Returns:
            str.

        Raises:
            Refused: for an unknown layer, and for one without such positions.
        """
        self.refuse_unknown(address)
        shape = self.shape_of(address)
        if not defaults.has_positions(shape, None if axes is None else axes + 2):
            needed = "rows and columns" if axes == 2 else "positions, such as rows and columns"
            raise Refused(
                f"This needs a layer with {needed}. Received: {address!r} of shape {shape}. {defaults.describe_candidates(self)}"
            )
        return address

    # Weights ------------------------------------------------------------------------------------------------------------

    def state(self, names=None):
        """Copies of the weights: dict of variable name to array; all of them, or those named."""
        return {name: np.array(self.variables[name].numpy()) for name in (self.variables if names is None else names)}

    @contextlib.contextmanager
    def weights(self, state):
        """While open, the named variables hold other values; on leaving they get their own back, whatever happens.

        `intact` verifies that they do.

        Args:
            state: dict of variable name to array of the variable's shape.

        Raises:
            Refused: for unknown names and wrong shapes.
        """
        self._check_state(state)
        with self.exclusive():
            before = snapshot.values({name: self.variables[name] for name in state})
            self._swapping.append(threading.get_ident())
            try:
                self._assign(state)
                yield self
            finally:
                self._assign(before)
                self._swapping.pop()

    @contextlib.contextmanager
    def exclusive(self):
        """While open, no other thread runs the network or changes its weights.

        Raises:
            Refused: where another thread keeps other weights in it for long, because it may be waiting for this one; and where
                TensorFlow cannot compile what the network computes.
        """
        _refuse_uncompiled()
        started = time.monotonic()
        while not self.lock.acquire(timeout=0.1):
            if self._swapping and time.monotonic() - started > PATIENCE:
                raise Refused(
                    f"While weights are swapped, only the thread that swapped them can run the network. Received: a call of {self.name} from another thread, for {PATIENCE} seconds. Use one thread."
                )
        try:
            yield
        finally:
            self.lock.release()

    def snapshot(self):
        """What the network is now, for `restore`.

        A snapshot covers its variables (states, seeds and an optimizer's too), how its layers compute, what is
        trained, and what the lab knows of it. Nothing is copied: it costs some milliseconds.
        """
        with self.exclusive():
            return snapshot.take(self, self._held)

    def restore(self, before):
        """Put back whatever differs from a snapshot.

        Returns:
            list of str, the names of what differed; empty if nothing did.
        """
        with self.exclusive():
            return snapshot.restore(self, before)

    @property
    def wiring(self):
        """What its layers compute with besides their variables; it is a part of the key of every trace."""
        self._wiring = snapshot.wiring({**self.tree, "": self.model}, self._notes, self._wiring)
        return self._wiring

    @contextlib.contextmanager
    def intact(self):
        """On leaving, raise RuntimeError if any weight differs from what it was on entering.

        Values are held by reference. Only those that lie elsewhere by then are compared.
        """
        before = snapshot.values(self.variables)
        yield
        changed = [name for name, value in before.items() if snapshot.differs(self.variables[name], value)]
        if changed:
            raise RuntimeError(
                f"The weights of {self.name} are not what they were: a change of {changed[0]!r} was not undone."
            )

    def adopt(self, state):
        """Make these the network's own weights, for good.

        Raises:
            Refused: for unknown names and wrong shapes.
        """
        self._check_state(state)
        self._assign(state)

    def fingerprint(self):
        """SHA-256 over names, shapes, dtypes and bytes of all weights: str."""
        digest = hashlib.sha256()
        for name, variable in self.variables.items():
            value = np.ascontiguousarray(variable.numpy())
            digest.update(f"{name}{value.shape}{value.dtype}".encode())
            digest.update(value.view(np.uint8) if value.size and value.ndim else value.tobytes())
        return digest.hexdigest()

    def _assign(self, state):
        for name, value in state.items():
            replicas = snapshot.replicas(self.variables[name])
            # A copy, because the operation may keep the array's own memory, which its owner may write to later.
            value = value if tf.is_tensor(value) else np.array(value, replicas[0].dtype.as_numpy_dtype)
            for replica in replicas:
                # The operation itself: TensorFlow's assign costs several times the copy, and Keras's ten times.
                tf.raw_ops.AssignVariableOp(resource=replica.handle, value=value)

    def _check_state(self, state):
        for name, value in state.items():
            if name not in self.variables:
                raise Refused(f"Unknown variable. Received: {name!r}. {nearest(name, self.variables)}")
            if tuple(np.shape(value)) != tuple(self.variables[name].shape):
                raise Refused(
                    f"A weight keeps its shape. Received: {np.shape(value)} for {name!r} of {tuple(self.variables[name].shape)}."
                )

    # Setup --------------------------------------------------------------------------------------------------------------

    def _accept_inputs(self):
        if isinstance(self.model, HostModel):
            return AcceptedInputs(self.declared, padding=self.model.padding)
        return accept_inputs(self._run, self.tree.values(), self.declared)

    def _build(self):
        # A function may raise for zeros, and has been called.
        if not isinstance(self.model, HostModel) and not (self.model.built and self.model.weights):
            self.model(tf.nest.map_structure(zero_sample, self.declared), training=False)

    def call(self, inputs):
        """The Keras model's outputs for inputs as the lab has them, with channels last; only inside a tf.function.

        Every call starts from reset states, and no state is kept.
        """
        if self.channels_first:
            inputs = tf.nest.map_structure(
                lambda leaf: layout.to_channels_first(leaf) if len(leaf.shape) > 3 else leaf, inputs
            )
        return self._run(tf.nest.map_structure(_as_declared, inputs, self.declared))

    def _run(self, inputs):
        layers = self.tree.values()
        with allow_floats(layers), taps.stateless(layers), taps.without_flash(layers):
            return self.model(inputs, training=False)

    def _refuse_nan(self):
        for name, variable in self.variables.items():
            if not np.all(np.isfinite(variable.numpy().astype("float64"))):
                raise Refused(f"Weights are finite numbers. Received: NaN or infinity in {name!r} of {self.name}.")

    def _survey(self):
        """Trace the whole model once: layer shapes in the order of the calls, output names and heads."""
        survey = {}

        def trace_call(inputs):
            reader, folder = self._reader(), taps.Folder()
            with taps.intercept(self.tree.values(), reader, *([folder] if self.fold else [])):
                outputs = self._name_outputs(self.call(inputs))
            _refuse_writes(reader.graph)
            survey.update(self._graph_facts(reader, outputs, folder), tensors=(outputs, reader.outputs))
            trace = Trace(outputs, {}, 0, self.channels_first)
            return {name: tf.cast(trace.logits(name), tf.float32) for name in trace.numeric}

        before = self.wiring
        with tf.init_scope():
            traced = tf.function(trace_call, autograph=False).get_concrete_function(self.spec)
        self._notes, self._wiring = snapshot.changes(before, self.wiring), None
        # Later traces add these operations again.
        self._recording, self._surveyed = Recording(traced.graph, survey["tensors"], self.wiring), traced
        self._folded, self._surveyed_fold = survey["folded"], self.fold
        # heads are activations that are taken off for logits; ends are the last activations, whatever they are.
        self.outputs, self.heads, self.ends = survey["outputs"], survey["heads"], survey["ends"]
        self.integer_outputs = {name: dtype.name for name, dtype in survey["dtypes"].items() if not dtype.is_floating}
        # Outputs of a function, or of one that was saved without its layers, whose inside cannot be read.
        self.closed = survey["closed"]
        self._layers = self._layer_rows(survey["reader"], survey["order"])
        self._shapes = dict(
            itertools.chain.from_iterable(
                addresses_of_calls(path, survey["reader"][id(self.tree[path])]) for path in self._layers
            )
        )

        # Addresses that can be read, and those of them that lead to the outputs.
        self.readable = [address for address in self._shapes if address in survey["readable"]]
        self.leading = survey["leading"]

    def _graph_facts(self, reader, outputs, folder):
        """What one traced call shows of layers and outputs, by name: dict."""
        trace = Trace(outputs, {}, 0, self.channels_first)
        logits = {name: trace.logits(name) for name in outputs}
        readable, leading = self._readable_addresses(reader, list(logits.values()), folder)
        return {
            "folded": tuple(folder.layers),
            "reader": {key: [_shape(output) for output in calls] for key, calls in reader.outputs.items()},
            "order": reader.order,
            "readable": readable,
            "leading": leading,
            "dtypes": {name: tensor.dtype for name, tensor in logits.items()},
            "outputs": {name: _shape(tensor) for name, tensor in logits.items()},
            "heads": {name: taps.preactivation(tensor, heads_only=True)[1] for name, tensor in outputs.items()},
            "ends": {name: taps.preactivation(tensor)[1] for name, tensor in outputs.items()},
            "closed": {
                name: isinstance(self.model, HostModel) or tensor.op.type.endswith("PartitionedCall")
                for name, tensor in outputs.items()
            },
        }

    def _readable_addresses(self, reader, outputs, folder):
        tensors = {
            address: tensor
            for path, layer in self.tree.items()
            for address, tensor in addresses_of_calls(path, reader.outputs.get(id(layer), []) if path else [])
            if defaults.is_readable(path, tensor, reader, self.tree)
        }
        return set(tensors), defaults.addresses_leading_to(tensors, outputs, folder.results)

    def _layer_rows(self, shapes, order):
        last = {key: position for position, key in enumerate(order)}
        paths = sorted(
            (path for path in self.tree if path and id(self.tree[path]) in last),
            key=lambda path: last[id(self.tree[path])],
        )
        return {path: self._layer_row(path, self.tree[path], shapes[id(self.tree[path])]) for path in paths}

    def _layer_row(self, path, layer, calls):
        return Layer(path, type(layer).__name__, calls[0], layer.count_params() if layer.built else 0, len(calls))

    def sample_bytes(self):
        """Rough bytes that one sample takes in a forward and backward pass: int.

        Half of the layers' outputs are alive at once: measured 39 MB for EfficientNet-Lite0's 79.
        """
        sizes = [
            int(np.prod([side or 1 for side in shape[1:]]))
            for shape in self._shapes.values()
            if isinstance(shape, tuple)
        ]
        if isinstance(self.model, HostModel):
            sizes = [int(np.prod([side or 1 for side in spec.shape[1:]])) for _, spec in self.places()]
        return 2 * max(1, sum(sizes))

    def _name_outputs(self, outputs):
        outputs = tf.nest.map_structure(_in_graph, outputs)
        return name_outputs(outputs, list(getattr(self.model, "output_names", None) or []))

    def _flatten(self, inputs):
        try:
            tf.nest.assert_same_structure(
                self.spec, tf.nest.map_structure(lambda _: 0, inputs, expand_composites=False)
            )
        except (TypeError, ValueError):
            flat = tf.nest.flatten(self.spec)
            single = inputs[0] if isinstance(inputs, (list, tuple)) and len(inputs) == 1 else inputs
            if len(flat) == 1 and not isinstance(single, (dict, list, tuple)):
                return [single]
            raise Refused(
                f"Inputs come in the structure that the model takes, {_describe_structure(self.spec, self._declared_names())}. Received: {_describe_structure(inputs)}."
            ) from None
        return tf.nest.flatten(inputs)

    def places(self):
        """Every input by name, in flattened order: list of (name, TensorSpec)."""
        names = self._declared_names()
        return [
            (names[place] if names else "/".join(str(part) for part in path) or "inputs", spec)
            for place, (path, spec) in enumerate(_flatten_with_path(self.spec))
        ]

    def _declared_names(self):
        """The names that a model gives to the inputs of a flat list: list of str, or None."""
        tensors = getattr(self.model, "_inputs_struct", None)
        if not isinstance(tensors, (list, tuple)) or len(tensors) < 2 or not isinstance(self.spec, (list, tuple)):
            return None
        names = [getattr(tensor, "name", None) for tensor in tensors]
        if any(str(name).startswith("keras_tensor") for name in names):
            # Keras counts inputs without a name over the whole process.
            return None
        return names if len(set(names)) == len(tf.nest.flatten(self.spec)) and all(names) else None

    def _describe_inputs(self):
        return ", ".join(f"{name} {tuple(spec.shape)}" for name, spec in self.places())

    def _preprocessing(self):
        if self.preprocessing is None:
            raise Refused(
                f"The lab does not know what {self.name} takes. Received: no preprocess= and no input_range=: give one of them to lab.load."
            )
        return self.preprocessing


# Activations that a gradient rule reaches, and those that need none.
_RULED = {"relu", "relu6", "leaky_relu", "elu", "selu", "linear", "softmax", "log_softmax", "sigmoid"}


def refuse_other(network, objective):
    """Raise Refused for what is not a Network and for what is not an objective, and say what to type instead.

    Args:
        network: what should be a `Network`.
        objective: what should be an `Objective`.

    Raises:
        Refused: where one of them is something else.
    """
    refuse_no_network(network)
    refuse_no_objective(objective)


def refuse_no_network(network):
    """Raise Refused for what is not a Network, and say what to type instead."""
    if not isinstance(network, Network):
        hint = (
            "lab.load(model) makes one of a Keras model" if isinstance(network, keras.Model) else "lab.load makes one"
        )
        raise Refused(f"This needs a Network. Received: {type(network).__name__}: {hint}.")


def _refuse_uncompiled():
    """Raise Refused where TensorFlow compiles no functions of the lab: where it runs all eagerly, and inside of another one."""
    if tf.config.functions_run_eagerly():
        raise Refused(
            "The lab compiles what it computes. Received: tf.config.run_functions_eagerly(True). Call tf.config.run_functions_eagerly(False) first."
        )
    if not tf.executing_eagerly():
        raise Refused(
            "The lab compiles what it computes. Received: a call inside a tf.function or a graph. Call the lab outside of it."
        )


def _refuse_writes(graph):
    """Raise Refused where calling the model writes to a tf.Variable that the lab does not track."""
    writes = [op.name for op in graph.get_operations() if op.type.startswith("Assign") and "Variable" in op.type]
    if writes:
        raise Refused(
            f"A call must not change a model. Received: a model that writes to a tf.Variable ({writes[0]}). Create it with self.add_weight(..., trainable=False)."
        )


def _as_declared(leaf, spec):
    """Ids in the dtype that the model takes; images stay floats."""
    return leaf if leaf.dtype.is_floating else tf.cast(leaf, spec.dtype)


def _shape(tensor):
    return tuple(tensor.shape.as_list()) if tf.is_tensor(tensor) and tensor.shape.rank is not None else None


def _flatten_with_path(structure):
    return keras.tree.flatten_with_path(structure) if isinstance(structure, (dict, list, tuple)) else [((), structure)]


def _unit_count(shape):
    """How many units an output of a shape has (at each position): int, 1 for [batch]; None where the number is free."""
    return shape[-1] if len(shape) > 1 else 1


def _indices_named(names, name):
    """The indices of the classes of a name, matched exactly, or else without regard to case."""
    exact = [index for index, other in enumerate(names) if other == name]
    return exact or [index for index, other in enumerate(names) if other.lower() == name.lower()]


def _as_index(name):
    """A class's index given as a whole number or as its text: int, or None."""
    if isinstance(name, (numbers.Real, np.bool_)) and float(name).is_integer():
        return int(name)
    return int(name) if isinstance(name, str) and name.isdecimal() else None


def _in_graph(output):
    """An output, or what a model holds and returns as it is, as a tensor of the graph that is being traced."""
    return tf.identity(output) if isinstance(output, tf.__internal__.EagerTensor) else output


def _describe_structure(structure, names=None):
    if isinstance(structure, dict):
        return "a dict of " + ", ".join(structure)
    if isinstance(structure, (list, tuple)):
        return f"a {type(structure).__name__} of {len(structure)}" + (f", [{', '.join(names)}]" if names else "")
    return "one array"
