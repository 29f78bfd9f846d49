"""Callbacks: the lab inside `model.fit`."""

import csv
import pathlib

import numpy as np

from lab import routines
from lab.environment import keras, tf
from lab.explanation import explain
from lab.labels import correct_classes
from lab.maps import pooled
from lab.models import load
from lab.objectives import class_score, goal, logit
from lab.refusal import Refused
from lab.visualization.maximize import maximize
from recipes.galleries import animation, png, slug
from recipes.report import figures
from recipes.store import durable, pack
from sanity.agreement import between_seeds

# Side of a map's picture in pixels.
SIDE = 160


class Gallery(keras.callbacks.Callback):
    """A small gallery at the beginning of training and after every `every` epochs, and its animation when training ends.

    folder: where `epoch-00003/00007.png` (unit 7 after three epochs), `scores.csv` and `00007.anim.png` go. layer: an address
    (None: logits); units: channels or classes. images: validation data as `AttributionLogger` takes it, whose scores for the
    units are noted as well, or None. options: of `lab.maximize`. model_options: of `lab.load`, such as input_range=(0, 1). The weights are read,
    never changed. Raises Refused, when training begins, for a layer or unit that the model lacks.
    """

    def __init__(self, folder, layer, units, *, every=1, steps=64, seed=0, images=None, model_options=None, **options):
        super().__init__()
        if every < 1:
            raise Refused(f"every= counts epochs from 1. Received: {every}.")
        if "facets" in options:
            raise Refused("A gallery of training has one picture a unit. Received: facets=.")
        self.folder, self.every, self.images = pathlib.Path(folder), every, images
        self.layer, self.units, self.goal = layer, list(units), goal(layer, list(units))
        self.options = {"steps": steps, "seed": seed, **options}
        self.model_options = model_options or {}
        self.pictures = []

    def on_train_begin(self, logs=None):
        """The gallery of the network as it starts."""
        del logs
        self.pictures = []
        # Routines are compiled once and read the model's own variables: each epoch's pictures are of that epoch's weights.
        self.network = load(self.model, **self.model_options)
        self.network.check(self.goal)
        self.inputs = None if self.images is None else samples(self.images)[0]
        self._draw(0)

    def on_epoch_end(self, epoch, logs=None):
        """The gallery of the network as it is now."""
        del logs
        if (epoch + 1) % self.every == 0:
            self._draw(epoch + 1)

    def on_train_end(self, logs=None):
        """The animation of every unit over the epochs."""
        del logs
        for unit, frames in zip(self.units, np.stack(self.pictures, axis=1)):
            durable(self.folder / f"{unit:05d}.anim.png", animation(frames))

    def _draw(self, epoch):
        made = maximize(self.network, self.goal, **self.options)
        self.pictures.append(made.images)
        place = self.folder / f"epoch-{epoch:05d}"
        place.mkdir(parents=True, exist_ok=True)
        for unit, image in zip(self.units, made.images):
            durable(place / f"{unit:05d}.png", png(image))
        self._note(epoch, made.scores)

    def _note(self, epoch, scores):
        natural = [""] * len(self.units) if self.inputs is None else self._natural()
        lines = [f"{epoch},{unit},{score:.6g},{best}\n" for unit, score, best in zip(self.units, scores, natural)]
        head = "" if epoch else "epoch,unit,picture,highest_natural\n"
        with open(self.folder / "scores.csv", "a" if epoch else "w", encoding="utf-8") as file:
            file.write(head + "".join(lines))

    def _natural(self):
        found = routines.mean_activations(self.network, self.inputs, self.layer)
        return [f"{each:.6g}" for each in found[:, self.units].max(axis=0)]


class AttributionLogger(keras.callbacks.Callback):
    """Maps of some samples by any method at the beginning of training and after every `every` epochs, to a folder and to TensorBoard.

    method: a registered name such as "gradcam" or "tf_explain.gradcam", or a callable. data: validation data as `fit` takes it:
    inputs [n, ...] that the model takes, (inputs, labels), a finite tf.data.Dataset of batches or a keras PyDataset, with
    labels or without. labels: as of `lab.labels.correct_classes`. Explained is all along the right class of each sample; of
    several the one, and without labels the class, that the model answers most when training begins. folder: where
    `epoch-00003.npz` (raw maps, scores), `epoch-00003-00.png` (sample 0) and `maps.csv` go. tensorboard: a log folder, or None for
    none; writing it needs nothing installed. options: of the method. model_options: of `lab.load`. Raises Refused, when
    training begins, for whatever the method cannot do on this model.
    """

    def __init__(
        self,
        method,
        data,
        every=1,
        *,
        folder="artifacts/training",
        tensorboard=None,
        seed=0,
        model_options=None,
        **options,
    ):
        super().__init__()
        if every < 1:
            raise Refused(f"every= counts epochs from 1. Received: {every}.")
        self.method, self.every, self.folder = method, every, pathlib.Path(folder)
        self.data = data
        self.seed, self.options, self.model_options = seed, options, model_options or {}
        self.writer = None if tensorboard is None else tf.summary.create_file_writer(str(tensorboard))

    def on_train_begin(self, logs=None):
        """The maps of the network as it starts."""
        del logs
        self.network, self.before = load(self.model, **self.model_options), None
        self.inputs, labels = samples(self.data)
        self.objective = explained(self.network, self.inputs, labels)
        self._explain(0)

    def on_epoch_end(self, epoch, logs=None):
        """The maps of the network as it is now."""
        del logs
        if (epoch + 1) % self.every == 0:
            self._explain(epoch + 1)

    def on_train_end(self, logs=None):
        """Everything is in the log folder."""
        del logs
        if self.writer is not None:
            self.writer.flush()

    def _explain(self, epoch):
        record = explain(self.network, self.inputs, self.objective, method=self.method, seed=self.seed, **self.options)
        maps = tf.nest.flatten(record.maps)[0]
        self.folder.mkdir(parents=True, exist_ok=True)
        durable(self.folder / f"epoch-{epoch:05d}.npz", pack({"maps": maps, "scores": record.scores}))
        pictures = [figures.painted(plane, SIDE)[0] for plane in pooled(maps)]
        for place, picture in enumerate(pictures):
            if picture is not None:
                durable(self.folder / f"epoch-{epoch:05d}-{place:02d}.png", picture)
        self._note(epoch, record, maps)
        if self.writer is not None:
            self._log(epoch, record, pictures)

    def _note(self, epoch, record, maps):
        """A line a sample: its score, what is suspicious, and how far all maps agree with those of the last time."""
        agree = "" if self.before is None else f"{between_seeds(self.before, maps):.4f}"
        self.before = maps
        with open(self.folder / "maps.csv", "a" if epoch else "w", newline="", encoding="utf-8") as file:
            lines = csv.writer(file)
            if not epoch:
                lines.writerow(("epoch", "sample", "score", "flags", "agreement_with_last"))
            for place, (score, words) in enumerate(zip(record.scores, record.flags)):
                lines.writerow((epoch, place, f"{score:.6g}", "; ".join(words), agree))

    def _log(self, epoch, record, pictures):
        """Pictures and scores as TensorBoard's own plugins read them, without TensorBoard."""
        name = slug(record.method)
        with self.writer.as_default(step=epoch):
            drawn = [picture for picture in pictures if picture is not None]
            if drawn:
                side = tf.io.decode_png(drawn[0]).shape
                tf.summary.write(
                    f"{name}/maps", tf.constant([str(side[1]), str(side[0]), *drawn]), metadata=_plugin("images")
                )
            for place, score in enumerate(record.scores):
                tf.summary.write(f"{name}/score/{place}", tf.constant(score), metadata=_plugin("scalars"))


def samples(data):
    """Validation data as `fit` takes it -> inputs, and labels or None. Raises Refused for data without an end."""
    if isinstance(data, tf.data.Dataset):
        endless = int(data.cardinality()) == tf.data.INFINITE_CARDINALITY
        return _joined(data.as_numpy_iterator(), endless)
    if isinstance(data, keras.utils.PyDataset):
        batches = data.num_batches
        return _joined((data[number] for number in range(batches or 0)), batches is None)
    if isinstance(data, tuple):
        # A third part would be the weights of samples.
        return data[0], data[1] if len(data) > 1 else None
    return data, None


def _joined(batches, endless):
    if endless:
        raise Refused(
            "Maps are made of a fixed number of samples. Received: data without an end; give data.take(batches)."
        )
    parts = [batch[:2] if isinstance(batch, tuple) else (batch,) for batch in batches]
    if not parts:
        raise Refused("Maps are made of at least one sample. Received: data without any.")
    whole = keras.tree.map_structure(lambda *leaves: np.concatenate([np.asarray(leaf) for leaf in leaves]), *parts)
    return whole[0], whole[1] if len(whole) > 1 else None


def explained(network, inputs, labels):
    """The score of each sample's class: of the right ones, or of all without labels, that which the network answers most.

    Of one unit that is no class, as a regression's, the unit.
    """
    name = network.output_name()
    output = name if len(network.outputs) > 1 else None
    one_unit = network.outputs[name][1:] in ((), (1,))
    labels = labels[name] if isinstance(labels, dict) and name in labels else labels
    if one_unit and not network.binary and (labels is None or _numbers(labels)):
        return logit(0, output=output)
    logits = routines.class_logits(network, inputs, name)
    if labels is None:
        correct = np.ones_like(logits, bool)
    else:
        correct = correct_classes(labels, logits.shape[1], network.classes)
    if len(correct) not in (1, len(logits)):
        raise Refused(f"Each sample has its label. Received: {len(correct)} labels for {len(logits)} samples.")
    # Where no class is right, as in rows of a multi-label head, what the network answers is explained.
    right = np.where(correct.any(axis=1, keepdims=True), correct, True)
    classes = np.where(right, logits, -np.inf).argmax(axis=1).tolist()
    return (class_score if one_unit else logit)(classes, output=output)


def _numbers(labels):
    """Whether labels are numbers that no class has, such as a regression's: bool."""
    labels = np.asarray(labels)
    return labels.dtype.kind in "fiu" and not np.isin(labels, (0, 1)).all()


def _plugin(name):
    kind = {"images": "DATA_CLASS_BLOB_SEQUENCE", "scalars": "DATA_CLASS_SCALAR"}[name]
    metadata = tf.compat.v1.SummaryMetadata(plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name=name))
    metadata.data_class = metadata.DESCRIPTOR.file.enum_types_by_name["DataClass"].values_by_name[kind].number
    return metadata
