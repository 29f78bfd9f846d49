"""Callbacks: the lab inside `model.fit`."""

import pathlib

import numpy as np

from lab.environment import keras
from lab.models import load
from lab.visualization.maximize import maximize
from recipes.galleries import animation, png
from recipes.store import durable
from sanity.features.study import goal


class Gallery(keras.callbacks.Callback):
    """A small gallery at the beginning of training and after every `every` epochs, and its animation when training ends.

    folder: where `epoch-00003/00007.png` (unit 7 after three epochs), `scores.csv` and `00007.anim.png` go. layer: an address
    (None: logits); units: channels or classes. images: [n, ...] what the model takes, whose scores for the units are noted as
    well, or None. options: of `lab.maximize`. model_options: of `lab.load`, such as input_range=(0, 1). The weights are read,
    never changed. Raises ValueError, when training begins, for a layer or unit that the model lacks.
    """

    def __init__(self, folder, layer, units, *, every=1, steps=64, seed=0, images=None, model_options=None, **options):
        super().__init__()
        if every < 1:
            raise ValueError(f"every= counts epochs from 1. Received: {every}.")
        self.folder, self.every, self.images = pathlib.Path(folder), every, images
        self.layer, self.units, self.goal = layer, list(units), goal(layer, list(units))
        self.options = {"steps": steps, "seed": seed, **options}
        self.model_options = model_options or {}
        self.pictures = []

    def on_train_begin(self, logs=None):
        """The gallery of the network as it starts."""
        del logs
        # Routines are compiled once and read the model's own variables: each epoch's pictures are of that epoch's weights.
        self.network = load(self.model, **self.model_options)
        self.network.check(self.goal)
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
        natural = [""] * len(self.units) if self.images is None else self._natural()
        lines = [f"{epoch},{unit},{score:.6g},{best}\n" for unit, score, best in zip(self.units, scores, natural)]
        head = "" if epoch else "epoch,unit,picture,highest_natural\n"
        with open(self.folder / "scores.csv", "a" if epoch else "w") as file:
            file.write(head + "".join(lines))

    def _natural(self):
        from lab import routines

        found = (
            routines.activations(self.network, self.images, self.layer, pool=True)
            if self.layer
            else routines.logits(self.network, self.images)
        )
        return [f"{each:.6g}" for each in found[:, self.units].max(axis=0)]
