"""Workshop: what the jobs of one process share: the network, the images, the frozen targets and the random networks."""

import functools
import hashlib
import importlib
import pathlib
import sys
import time

import numpy as np

from lab import data, models, routines
from lab.attribution import explainers
from lab.images import read
from lab.objectives import layer, logit
from lab.refusal import Refused
from lab.registry import options
from recipes.shelf import Shelf
from sanity.checks import checks, shared
from sanity.randomization import draw, layers_in_order
from sanity.subject import planted, subject
from sanity.worlds import worlds


class Workshop:
    """Everything a recipe's jobs need, made when first asked for; jobs read it and never change it."""

    def __init__(self, recipe, root, *, allow_code=False):
        self.recipe = recipe
        self.shelf = Shelf(root)
        self.surveys = Shelf(root, "surveys")
        self.allow_code = allow_code
        self._made = {}

    @functools.cached_property
    def network(self):
        """The recipe's network; a world's is its first one, trained."""
        if self.recipe.world:
            return self.subject("top").network
        model = self.recipe.model
        weights = None if model.weights == "random" else model.weights
        if weights is None:
            # Keras draws from its global seed when it builds: derive it, so that a random network is the same in every process.
            return self._seeded(lambda: self._loaded(model, weights))
        return self._loaded(model, weights)

    def _loaded(self, model, weights):
        return models.load(
            model.source,
            weights=weights,
            input_range=model.input_range,
            classes=model.classes,
            size=model.size,
            allow_code=self.allow_code,
            memory=int(model.memory_gib * (1 << 30)),
        )

    def _seeded(self, make):
        network = make()
        drawn = draw(network, layers_in_order(network), [self.recipe.seed])[0]
        for name, value in drawn.state.items():
            network.variables[name].assign(value)
        return network

    @property
    def channels(self):
        """How many channels images are read with: those of the network."""
        return self.network.preprocessing.channels if self.network.preprocessing else 3

    @functools.cached_property
    def images(self):
        """The recipe's photographs."""
        chosen = self.recipe.images
        if chosen.folder:
            found = data.folder(chosen.folder, channels=self.channels)
        else:
            found = (
                data.files(chosen.files, channels=self.channels)
                if chosen.files
                else data.photographs(chosen.photographs or data.PHOTOGRAPHS)
            )
        few = slice(chosen.most)
        return data.Data(found.names[few], found.images[few], found.labels[few] if found.labels else None)

    @functools.cached_property
    def stock(self):
        """Natural images to set beside pictures: a folder's own, or crops of the packages' photographs."""
        return self.images if self.recipe.images.folder else data.crops(data.photographs())

    @functools.cached_property
    def images_hash(self):
        """SHA-256 of the recipe's photographs."""
        return _digest(zip(self.images.names, self.images.images))

    @functools.cached_property
    def stock_hash(self):
        """SHA-256 of the stock's images."""
        return self.images_hash if self.stock is self.images else _digest(zip(self.stock.names, self.stock.images))

    @functools.cached_property
    def world(self):
        """The recipe's world."""
        return worlds.get(self.recipe.world.name)()

    def subject(self, target):
        """The network with the photographs, explained for a target, or a world's network with its samples: `sanity.subject.Subject`."""
        if self.recipe.world is None:
            make = functools.partial(subject, self.network, self.images, target=target, fit=self.recipe.images.fit)
            return self.once(("subject", target), make)
        return self.once("planted", self._planted)

    def refuse_world(self):
        """Raise Refused for what a recipe asks of its world that it cannot have."""
        by_hand = self.world.training is None
        if by_hand and (self.twins > 1 or self.recipe.world.misled):
            raise Refused(
                f"Twins are trained from other seeds. Received: {self.world.name}, whose weights are set by hand."
            )
        for check in self.recipe.check:
            if check.target != "top":
                raise Refused(
                    f"In a world every sample has its own target, what the cue says. Received: target {check.target!r}."
                )

    @property
    def twins(self):
        """How many networks of a world are trained; one where its weights are set by hand and nothing else was asked."""
        chosen = self.recipe.world
        return 1 if self.world.training is None and "twins" not in chosen.model_fields_set else chosen.twins

    def _planted(self):
        chosen = self.recipe.world
        numbers = {"twins": self.twins, "misled": chosen.misled, "images": chosen.images}
        return planted(self.world, seed=self.recipe.seed, keep=self.shelf.keep, **numbers)

    def shared(self, check, target, settings):
        """What all methods of a check may share (random networks, nulls, rewrites), made once: arguments of its call."""
        check = checks.get(check)
        make = functools.partial(shared, check, self.subject(target), self.recipe.seed, settings)
        known = options(checks.tag(check, "prepare")) if checks.tag(check, "prepare") else {}
        given = sorted((name, value) for name, value in settings.items() if name in known)
        return self.once((check, target, str(given)), make)

    def once(self, key, make):
        """What `make()` makes, made once in this process."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def method(self, name):
        """An explainer by its registered name or as "module:function"."""
        return stranger(name) if ":" in name else explainers.get(name)

    def hashes(self):
        """What the digest of a run depends on besides its recipe: dict of name to SHA-256. A world is hashed before anything is trained."""
        if self.recipe.world:
            lessons = (
                self.world.lessons(self.recipe.seed) if self.world.training else self.world.draw(8, self.recipe.seed)[0]
            )
            model = hashlib.sha256(f"{self.world.build().to_json()}{self.world.training}".encode())
            return {
                "model": model.hexdigest(),
                "images": _digest([("lessons", lessons.inputs), ("labels", lessons.labels)]),
            }
        looked = {
            f"atlas/{number}": _digest([("image", read(each.image, channels=self.channels))])
            for number, each in enumerate(self.recipe.atlas)
            if each.image
        }
        return {"model": self.network.fingerprint(), "images": self.images_hash, **looked}

    def seconds_per_gradient(self):
        """How long one sample's gradient takes here, measured once on eight copies of the first image: float."""
        first = self.network.preprocess(self.images.images[0], fit=self.recipe.images.fit)
        name, shape = next(iter(self.network.outputs.items()))
        some = np.repeat(first, 8, axis=0)
        goal = logit(0, output=name) if len(shape) == 2 else layer(self.network.last_spatial())
        routines.gradient(self.network, some, goal)
        start = time.perf_counter()
        routines.gradient(self.network, some, goal)
        return (time.perf_counter() - start) / 8


def _digest(named):
    digest = hashlib.sha256()
    for name, array in named:
        digest.update(f"{name}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()


def stranger(name):
    """The function named "module:function", from the installed packages or the current folder. Raises Refused where there is none."""
    module, _, function = name.partition(":")
    if str(pathlib.Path.cwd()) not in sys.path:
        sys.path.insert(0, str(pathlib.Path.cwd()))
    try:
        return getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise Refused(f'A method of your own is "module:function". Received: {name!r}: {error}.') from error
