"""Session: what the jobs of one process share: the network, the images, the frozen targets and the random networks."""

import functools
import hashlib
import itertools
import pathlib
import re
import sys
import time
import warnings

import numpy as np

from lab import data, models, routines
from lab.attribution import explainers
from lab.images import read
from lab.labels import correct_classes
from lab.objectives import layer, logit
from lab.refusal import Refused
from lab.registry import options
from recipes import provenance, tables
from recipes.cache import Cache
from recipes.schema import method_names
from sanity.checks import checks, prepare_shared
from sanity.randomization import draw, layers_in_order
from sanity.subject import subject, world_subject
from sanity.worlds import worlds
from sanity.worlds.training import architecture


class Session:
    """Everything a recipe's jobs need, made when first asked for; jobs read it and never change it."""

    def __init__(self, recipe, root, *, allow_code=False):
        self.recipe = recipe
        self.cache = Cache(root)
        self.surveys = Cache(root, "surveys")
        self.allow_code = allow_code
        self._made = {}

    @functools.cached_property
    def network(self):
        """The recipe's network; a world's is its first one, trained."""
        if self.recipe.world:
            return self.subject().network
        model = self.recipe.model
        weights = None if model.weights == "random" else model.weights
        if weights is None:
            # Keras draws from its global seed when it builds: derive it, so that a random network is the same in every process.
            return self._seeded(lambda: self._loaded(model, weights))
        return self._loaded(model, weights)

    def _loaded(self, model, weights):
        # To find a module may run code of its package.
        for module in model.modules if self.allow_code else ():
            renew(module)
        return models.load(
            model.source,
            weights=weights,
            input_range=model.input_range,
            classes=model.classes,
            size=model.size,
            allow_code=self.allow_code,
            modules=tuple(model.modules),
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
        network = self.network
        return network.preprocessing.channels if network.preprocessing and network.image_place is not None else 3

    @functools.cached_property
    def images(self):
        """The recipe's photographs."""
        chosen = self.recipe.images
        if chosen.folder or chosen.files:
            form = {"channels": self.channels, "levels": chosen.levels}
            named = data.folder(chosen.folder, **form) if chosen.folder else data.files(chosen.files, **form)
        else:
            named = data.photographs(chosen.photographs or data.PHOTOGRAPHS)
        few = slice(chosen.most)
        names, labels = named.names[few], self._labels(named.labels[few] if named.labels else None)
        table, columns = (None, ()) if chosen.table is None else tables.read(chosen.table, names)
        return data.Data(names, named.images[few], labels, table=table, columns=columns, groups=named.groups[few])

    def _labels(self, labels):
        """The labels, but where folders need not be classes: none, with a warning, where they are not."""
        if labels is None or self.recipe.images.labels == "folders":
            return labels
        try:
            output = self.recipe.explain.output if self.recipe.explain else None
            correct_classes(sorted(set(labels)), self.network.classes_in(output), self.network.names_in(output))
        except Refused as error:
            warnings.warn(f"the folders are not taken for labels: {error}", stacklevel=2)
            return None
        return labels

    @functools.cached_property
    def natural_images(self):
        """Natural images to set beside pictures: a folder's own, or crops of the packages' photographs."""
        return self.images if self.recipe.images.folder else data.crops(data.photographs())

    @functools.cached_property
    def images_hash(self):
        """SHA-256 of the recipe's photographs, their labels and what lies beside them."""
        beside = [
            (
                str((self.images.labels, self.images.columns)),
                np.array(0 if self.images.table is None else self.images.table),
            )
        ]
        return _digest(itertools.chain(zip(self.images.names, self.images.images), beside))

    @functools.cached_property
    def natural_images_hash(self):
        """SHA-256 of the natural images."""
        return (
            self.images_hash
            if self.natural_images is self.images
            else _digest(zip(self.natural_images.names, self.natural_images.images))
        )

    @functools.cached_property
    def world(self):
        """The recipe's world."""
        return worlds.get(self.recipe.world.name)()

    def subject(self, question=None):
        """The network with the photographs, asked a question (`schema.Asking.question`), or a world's network with its samples:
        `sanity.subject.Subject`.
        """
        if self.recipe.world:
            return self.once("planted", self._planted)
        question = question or {}
        make = functools.partial(subject, self.network, self.images, fit=self.recipe.images.fit, **question)
        return self.once(("subject", str(sorted(question.items(), key=str))), make)

    def refuse_world(self):
        """Raise Refused for what a recipe asks of its world that it cannot have."""
        by_hand = self.world.training is None
        if by_hand and (self.replicates > 1 or self.recipe.world.permuted_label_networks):
            raise Refused(
                f"Replicates are trained from other seeds. Received: {self.world.name}, whose weights are set by hand."
            )
        for check in self.recipe.check:
            asked = {name: value for name, value in check.question.items() if value not in (None, "top")}
            if asked:
                raise Refused(f"In a world every sample has its own target, what the cue says. Received: {asked}.")

    @property
    def replicates(self):
        """How many networks of a world are trained; one where its weights are set by hand and nothing else was asked."""
        chosen = self.recipe.world
        return 1 if self.world.training is None and "replicates" not in chosen.model_fields_set else chosen.replicates

    def _planted(self):
        chosen = self.recipe.world
        numbers = {
            "replicates": self.replicates,
            "permuted_label_networks": chosen.permuted_label_networks,
            "images": chosen.images,
        }
        return world_subject(self.world, seed=self.recipe.seed, cache=self.cache.get, **numbers)

    def shared(self, check, question, settings):
        """What all methods of a check may share (random networks, nulls, rewrites), made once: arguments of its call."""
        check = checks.get(check)
        once = functools.partial(self._once_of, question)
        make = functools.partial(prepare_shared, check, self.subject(question), self.recipe.seed, settings, once)
        known = options(checks.tag(check, "prepare")) if checks.tag(check, "prepare") else {}
        given = sorted((name, value) for name, value in settings.items() if name in known)
        return self.once((check, str(question), str(given)), make)

    def _once_of(self, question, key, make):
        """What several checks of one question share, made once."""
        return self.once((key, str(sorted((question or {}).items(), key=str))), make)

    def once(self, key, make):
        """What `make()` makes, made once in this process."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def method(self, name):
        """An explainer by its registered name or as "module:function"."""
        return stranger(name) if ":" in name else explainers.get(name)

    def hashes(self):
        """What the digest of a run depends on besides its recipe and the code: dict of name to SHA-256. A world is hashed before
        anything is trained.
        """
        if self.recipe.world:
            return self._world_hashes()
        pictures = {f"atlas/{number}": each.image for number, each in enumerate(self.recipe.atlas)}
        pictures |= {f"gallery/{number}": each.top_for for number, each in enumerate(self.recipe.gallery)}
        looked = {
            key: _digest([("image", read(path, channels=self.channels))]) for key, path in pictures.items() if path
        }
        others = {f"model/{name}": self._other_hash(name) for name in self._other_models()}
        return {"model": self._model_hash(), "images": self.images_hash, **looked, **others}

    def _world_hashes(self):
        world, seed = self.world, self.recipe.seed
        training_data = world.training_data(seed) if world.training else world.draw(8, seed)[0]
        built = hashlib.sha256(f"{architecture(world.build())}{world.training}".encode())
        return {
            "model": built.hexdigest(),
            "images": _digest([("training data", training_data.inputs), ("labels", training_data.labels)]),
        }

    def _model_hash(self):
        """SHA-256 of the network: its file, its weights, how its layers are built, what it is fed, and the names of its classes."""
        network, source = self.network, self.recipe.model.source
        file = provenance.file(source) if pathlib.Path(source).exists() else source
        built = [(each.path, each.type, each.shape, _config(network.tree[each.path])) for each in network.layers()]
        told = (file, network.fingerprint(), built, network.preprocessing, network.classes, network.fold)
        return hashlib.sha256(repr(told).encode("utf-8", "backslashreplace")).hexdigest()

    def _other_models(self):
        """Networks that a recipe names beside its own: observers, and those that pictures are shown to."""
        named = [[*each.others, *([each.observer] if each.observer else [])] for each in self.recipe.features]
        return sorted({name for names in named for name in names})

    def _other_hash(self, name):
        """SHA-256 of another model's file; a model that is known by name is what the installed packages make of it."""
        return provenance.file(name) if pathlib.Path(name).exists() else hashlib.sha256(name.encode()).hexdigest()

    def sources(self):
        """SHA-256 of the code of every method "module:function", of every module that a model's layers come from, and of what these
        import: dict of name to str.
        """
        strangers = {name: name.partition(":")[0] for name in method_names(self.recipe) if ":" in name}
        modules = {} if self.recipe.world else {name: name for name in self.recipe.model.modules}
        return {name: provenance.imported(module) for name, module in sorted((strangers | modules).items())}

    def seconds_per_gradient(self):
        """How long one sample's gradient takes here, and compiling it, measured once on eight copies of the first image: float, float."""
        first = self.network.preprocess(self.images.images[0], fit=self.recipe.images.fit)
        name, shape = next(iter(self.network.outputs.items()))
        some = np.repeat(first, 8, axis=0)
        goal = logit(0, output=name) if len(shape) == 2 else layer(self.network.last_spatial())
        first = time.perf_counter()
        routines.gradient(self.network, some, goal)
        start = time.perf_counter()
        routines.gradient(self.network, some, goal)
        taken = time.perf_counter() - start
        return taken / 8, max(0.0, start - first - taken)


def _digest(named):
    digest = hashlib.sha256()
    for name, array in named:
        digest.update(f"{name}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()


def _config(layer):
    """How a layer is built, in words; its type's name where it does not say."""
    try:
        # Objects that tell where they lie in memory would make every process another one.
        return re.sub(r"0x[0-9a-f]+", "", repr(layer.get_config()))
    except Exception:
        # A layer without a config of its own raises whatever its author has chosen to.
        return type(layer).__qualname__


def renew(module):
    """Have a user's module, of the current folder or installed, imported as its files are now."""
    if str(pathlib.Path.cwd()) not in sys.path:
        sys.path.insert(0, str(pathlib.Path.cwd()))
    provenance.renewed(module)


def stranger(name):
    """The function named "module:function", from the installed packages or the current folder. Raises Refused where there is none."""
    module, _, function = name.partition(":")
    method = getattr(_imported(module, name), function, None)
    if not callable(method):
        kind = (
            "has no such name" if method is None else f"holds {type(method).__name__} under it, which cannot be called"
        )
        raise Refused(f'A method of your own is a function, "module:function". Received: {name!r}: {module} {kind}.')
    return method


def _imported(module, name):
    """A module of the user's, as its files are now."""
    try:
        renew(module)
        return models.import_user_module(module)
    except (Exception, SystemExit) as error:
        # A module that cannot be imported may raise anything: it is told, and where.
        raise Refused(
            f'A method of your own is "module:function". Received: {name!r}: {type(error).__name__}: {error}.'
        ) from error
