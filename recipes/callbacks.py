"""Callbacks: galleries and maps during `model.fit`."""

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
from recipes.galleries import animation, png
from recipes.job import slug
from recipes.report import figures
from recipes.store import pack, write_durably
from sanity.agreement import between_seeds

# Side of a map's picture in pixels.
SIDE = 160


class Gallery(keras.callbacks.Callback):
    """A small gallery when training begins and after every `every` epochs, and its animation when training ends.

    The weights are read and never changed. A layer or unit that the model lacks is refused when training begins.

    Args:
        folder: for `epoch-00003/00007.png` (unit 7 after three epochs), `scores.csv` and `00007.anim.png`.
        layer: an address, or None for logits.
        units: channels or classes.
        every: number of epochs between galleries.
        steps: optimization steps of each picture.
        seed: of the pictures.
        images: validation data as `AttributionLogger` takes it, whose scores for the units are written too, or None.
        model_options: of `lab.load`, such as input_range=(0, 1).
        options: of `lab.maximize`.
    """

    def __init__(self, folder, layer, units, *, every=1, steps=64, seed=0, images=None, model_options=None, **options):
        super().__init__()
        if every < 1:
            raise Refused(f"every= counts epochs from 1. Received: {every}.")
        if "facets" in options:
            raise Refused("A gallery of training has one picture for each unit. Received: facets=; remove it.")
        self.folder, self.every, self.images = pathlib.Path(folder), every, images
        self.layer, self.units, self.goal = layer, list(units), goal(layer, list(units))
        self.options = {"steps": steps, "seed": seed, **options}
        self.model_options = model_options or {}
        self.pictures = []

    def on_train_begin(self, logs=None):
        """Draw the gallery of the network as it starts."""
        del logs
        self.pictures = []
        # Compiled routines read the model's own variables, so that each epoch's pictures show that epoch's weights.
        self.network = load(self.model, **self.model_options)
        self.network.check(self.goal)
        self.inputs = None if self.images is None else split_data(self.images)[0]
        self._draw(0)

    def on_epoch_end(self, epoch, logs=None):
        """Draw the gallery of the network as it is now.

        Args:
            epoch: int, counted from 0.
            logs: not used.
        """
        del logs
        if (epoch + 1) % self.every == 0:
            self._draw(epoch + 1)

    def on_train_end(self, logs=None):
        """Write the animation of every unit over the epochs."""
        del logs
        for unit, frames in zip(self.units, np.stack(self.pictures, axis=1)):
            write_durably(self.folder / f"{unit:05d}.anim.png", animation(frames))

    def _draw(self, epoch):
        pictures = maximize(self.network, self.goal, **self.options)
        self.pictures.append(pictures.images)
        folder = self.folder / f"epoch-{epoch:05d}"
        folder.mkdir(parents=True, exist_ok=True)
        for unit, image in zip(self.units, pictures.images):
            write_durably(folder / f"{unit:05d}.png", png(image))
        self._write_scores(epoch, pictures.scores)

    def _write_scores(self, epoch, scores):
        highest = [""] * len(self.units) if self.inputs is None else self._highest_natural()
        lines = [f"{epoch},{unit},{score:.6g},{natural}\n" for unit, score, natural in zip(self.units, scores, highest)]
        header = "" if epoch else "epoch,unit,picture,highest_natural\n"
        with open(self.folder / "scores.csv", "a" if epoch else "w", encoding="utf-8") as file:
            file.write(header + "".join(lines))

    def _highest_natural(self):
        activations = routines.mean_activations(self.network, self.inputs, self.layer)
        return [f"{activation:.6g}" for activation in activations[:, self.units].max(axis=0)]


class AttributionLogger(keras.callbacks.Callback):
    """Maps of some samples when training begins and after every `every` epochs, in a folder and for TensorBoard.

    Explained is the right class of each sample. Of several it is the one with the highest output when training begins.
    Without labels it is the class that is predicted at that time.
    What the method cannot do on this model is refused when training begins.

    Args:
        method: a registered name such as "gradcam" or "tf_explain.gradcam", or a callable.
        data: validation data as `fit` takes it: inputs [n, ...], (inputs, labels), a finite tf.data.Dataset of batches,
            or a keras PyDataset, with labels or without. Labels are as of `lab.labels.correct_classes`.
        every: number of epochs between maps.
        folder: for `epoch-00003.npz` (raw maps, scores), `epoch-00003-00.png` (sample 0) and `maps.csv`.
        tensorboard: a log folder, or None. Nothing has to be installed for it.
        seed: of methods with random draws.
        model_options: of `lab.load`.
        options: of the method.
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
        """Write the maps of the network as it starts."""
        del logs
        self.network, self.last_maps = load(self.model, **self.model_options), None
        self.inputs, labels = split_data(self.data)
        self.objective = class_objective(self.network, self.inputs, labels)
        self._explain(0)

    def on_epoch_end(self, epoch, logs=None):
        """Write the maps of the network as it is now.

        Args:
            epoch: int, counted from 0.
            logs: not used.
        """
        del logs
        if (epoch + 1) % self.every == 0:
            self._explain(epoch + 1)

    def on_train_end(self, logs=None):
        """Flush the log folder."""
        del logs
        if self.writer is not None:
            self.writer.flush()

    def _explain(self, epoch):
        explanation = explain(
            self.network, self.inputs, self.objective, method=self.method, seed=self.seed, **self.options
        )
        maps = tf.nest.flatten(explanation.maps)[0]
        self.folder.mkdir(parents=True, exist_ok=True)
        write_durably(self.folder / f"epoch-{epoch:05d}.npz", pack({"maps": maps, "scores": explanation.scores}))
        pictures = [figures.encode_map(plane, SIDE)[0] for plane in pooled(maps)]
        for place, picture in enumerate(pictures):
            if picture is not None:
                write_durably(self.folder / f"epoch-{epoch:05d}-{place:02d}.png", picture)
        self._write_rows(epoch, explanation, maps)
        if self.writer is not None:
            self._write_summaries(epoch, explanation, pictures)

    def _write_rows(self, epoch, explanation, maps):
        """Write one line for each sample: score, flags, and the agreement of all maps with the last ones."""
        agreement = "" if self.last_maps is None else f"{between_seeds(self.last_maps, maps):.4f}"
        self.last_maps = maps
        with open(self.folder / "maps.csv", "a" if epoch else "w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            if not epoch:
                rows.writerow(("epoch", "sample", "score", "flags", "agreement_with_last"))
            for place, (score, flags) in enumerate(zip(explanation.scores, explanation.flags)):
                rows.writerow((epoch, place, f"{score:.6g}", "; ".join(flags), agreement))

    def _write_summaries(self, epoch, explanation, pictures):
        """Write pictures and scores as TensorBoard's plugins read them, without TensorBoard."""
        name = slug(explanation.method)
        with self.writer.as_default(step=epoch):
            valid = [picture for picture in pictures if picture is not None]
            if valid:
                side = tf.io.decode_png(valid[0]).shape
                tf.summary.write(
                    f"{name}/maps",
                    tf.constant([str(side[1]), str(side[0]), *valid]),
                    metadata=_summary_metadata("images"),
                )
            for place, score in enumerate(explanation.scores):
                tf.summary.write(f"{name}/score/{place}", tf.constant(score), metadata=_summary_metadata("scalars"))


def split_data(data):
    """Split validation data into inputs and labels.

    Args:
        data: as `fit` takes it: inputs, (inputs, labels), (inputs, labels, sample weights), a finite tf.data.Dataset of
            batches, or a keras PyDataset.

    Returns:
        inputs, and labels or None.

    Raises:
        Refused: for data without an end, or without samples.
    """
    if isinstance(data, tf.data.Dataset):
        endless = int(data.cardinality()) == tf.data.INFINITE_CARDINALITY
        return _concatenate(data.as_numpy_iterator(), endless)
    if isinstance(data, keras.utils.PyDataset):
        batches = data.num_batches
        return _concatenate((data[number] for number in range(batches or 0)), batches is None)
    if isinstance(data, tuple):
        # A third part would be sample weights.
        return data[0], data[1] if len(data) > 1 else None
    return data, None


def _concatenate(batches, endless):
    if endless:
        raise Refused("Maps need a fixed number of samples. Received: data without an end; give data.take(batches).")
    parts = [batch[:2] if isinstance(batch, tuple) else (batch,) for batch in batches]
    if not parts:
        raise Refused("Maps need at least one sample. Received: data without any.")
    joined = keras.tree.map_structure(lambda *leaves: np.concatenate([np.asarray(leaf) for leaf in leaves]), *parts)
    return joined[0], joined[1] if len(joined) > 1 else None


def class_objective(network, inputs, labels):
    """The score of each sample's class.

    The class is the one with the highest output among the right ones, or among all without labels.
    Of one unit that is no class, such as a regression's, the score is the unit's.

    Args:
        network: `Network`.
        inputs: [n, ...] as the network takes them.
        labels: as of `lab.labels.correct_classes`, or None.

    Returns:
        an objective.

    Raises:
        Refused: where samples and labels differ in number.
    """
    name = network.output_name()
    output = name if len(network.outputs) > 1 else None
    one_unit = network.outputs[name][1:] in ((), (1,))
    labels = labels[name] if isinstance(labels, dict) and name in labels else labels
    if one_unit and not network.binary and (labels is None or _are_regression_values(labels)):
        return logit(0, output=output)
    logits = routines.class_logits(network, inputs, name)
    if labels is None:
        correct = np.ones_like(logits, bool)
    else:
        correct = correct_classes(labels, logits.shape[1], network.classes)
    if len(correct) not in (1, len(logits)):
        raise Refused(f"Every sample has one label. Received: {len(correct)} labels for {len(logits)} samples.")
    # Where no class is right, as in some rows of a multi-label head, the predicted class is explained.
    candidates = np.where(correct.any(axis=1, keepdims=True), correct, True)
    classes = np.where(candidates, logits, -np.inf).argmax(axis=1).tolist()
    return (class_score if one_unit else logit)(classes, output=output)


def _are_regression_values(labels):
    """Whether labels are numbers that no class has, such as those of a regression: bool."""
    labels = np.asarray(labels)
    return labels.dtype.kind in "fiu" and not np.isin(labels, (0, 1)).all()


def _summary_metadata(name):
    kind = {"images": "DATA_CLASS_BLOB_SEQUENCE", "scalars": "DATA_CLASS_SCALAR"}[name]
    metadata = tf.compat.v1.SummaryMetadata(plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name=name))
    metadata.data_class = metadata.DESCRIPTOR.file.enum_types_by_name["DataClass"].values_by_name[kind].number
    return metadata
