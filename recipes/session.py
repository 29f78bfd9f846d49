"""Session: what one process has loaded for its jobs: the network, the images, the frozen targets, the random networks.

It knows its sources and no recipe. Jobs of several recipes may share it.
"""

import functools
import hashlib
import itertools
import os
import pathlib
import re
import time
import warnings
from dataclasses import replace

import numpy as np

from lab import callables, data, models, routines, tables
from lab.attribution import explainers
from lab.images import read
from lab.labels import correct_classes
from lab.objectives import layer, logit
from lab.opening import open_data
from lab.preprocessing import linear_preprocessing
from lab.refusal import Refused
from lab.registry import options
from lab.remote import as_path, is_folder, is_remote
from lab.streams import open_images
from recipes import machine, provenance
from recipes.cache import Cache
from recipes.loaded import Loaded
from recipes.planted import PlantedFolder
from recipes.store import digest
from sanity.answers import share
from sanity.checks import checks, prepare_shared
from sanity.finetuning import FinetunedNetworks, Labelled, about_finetuned, hold_out
from sanity.pairs import UserPairs
from sanity.randomization import draw, layers_in_order
from sanity.streamed import Streamed, from_arrays
from sanity.subject import subject, world_subject
from sanity.user_networks import FileNetworks, UserNetworks, refuse_replicates, takes_dataset, with_networks
from sanity.world_networks import StoredNetworks, WorldNetworks
from sanity.worlds import worlds
from sanity.worlds.training import architecture

# Labels of photographs in shards that are looked at before anything is explained.
LABELS = 1000


class Session:
    """What jobs need beside their arguments, built on first use. Jobs read it and never change it.

    Args:
        sources: `recipes.sources.Sources`.
        root: folder of all runs, where the caches lie.
        allow_code: whether model files may run Python code of their own.
        threads: int, how many compute a job; None: as the sources say, or all cores.
        loaded: `recipes.loaded.Loaded`, what is in memory already.
    """

    def __init__(self, sources, root, *, allow_code=False, threads=None, loaded=Loaded()):
        self.sources, self.root = sources, root
        self.threads = threads or sources.threads or machine.cores()
        self.cache = Cache(root, threads=self.threads)
        self.surveys = Cache(root, "surveys", threads=self.threads)
        self.allow_code = allow_code
        self.loaded, self._last = loaded, (None, None)
        self._built = {("method", name): method for name, method in loaded.methods.items()}

    @functools.cached_property
    def network(self):
        """The network of the model."""
        return self._load_model()

    @functools.cached_property
    def pretrained(self):
        """The network that the lab loads by default, whatever the model is: `lab.network.Network`."""
        from sanity.audit.pretrained import open_pretrained

        return open_pretrained()

    def _load_model(self):
        model = self.sources.model
        weights = None if model.weights == "random" else model.weights
        network = self.loaded.network or (self._function(model) if model.function else self._load(model, weights))
        if weights is None:
            # Keras draws from its global seed. The weights are drawn again, to be the same in every process.
            network = self._redraw_weights(network)
        is_table = self.sources.data and network.table_place is not None and len(network.places()) == 1
        # Of a single row there is no deviation. Methods that draw noise refuse it themselves.
        if is_table and len(self.data) > 1:
            network.background = network.check_background(self.data.inputs_of(network))
        return network

    def _load(self, model, weights):
        words = self.sources.data or self.sources.audit
        # Looking for a module may run code of its package.
        for module in model.modules if self.allow_code else ():
            refresh_module(module)
        return models.load(
            model.source,
            weights=weights,
            input_range=model.input_range,
            classes=model.classes,
            size=model.size,
            allow_code=self.allow_code,
            modules=tuple(model.modules),
            memory=int(model.memory_gib * (1 << 30)),
            vocabulary=words and words.vocabulary,
            tokenizer=words and words.tokenizer,
            as_table=self.sources.audit is not None or (self.sources.data is not None and self.data.kind == "table"),
        )

    def _function(self, model):
        """The function of the user in the place of a network."""
        predict = external_method(model.function, "function")
        options = {"batch": model.batch, "timeout": model.timeout, "input_range": model.input_range}
        return callables.function(
            predict,
            self.data if self.sources.data else self._pictures_of_function(model),
            classes=model.classes,
            name=model.function,
            memory=int(model.memory_gib * (1 << 30)),
            **{name: value for name, value in options.items() if value is not None},
        )

    def _pictures_of_function(self, model):
        """The first photographs as a function takes them: `lab.data.Data`."""
        if model.size is None:
            raise Refused("A function of images takes them in one size. Received: no size=. Give the side in pixels.")
        first = self.photographs.part(slice(callables.TRIED))
        low, high = model.input_range or (0, 255)
        images = linear_preprocessing(low, high, 3).preprocess(list(first.images), (model.size, model.size))
        return replace(first, inputs=images)

    def _redraw_weights(self, network):
        """The same network with weights drawn from the seed."""
        random_network = draw(network, layers_in_order(network), [self.sources.seed])[0]
        for name, value in random_network.state.items():
            network.variables[name].assign(value)
        return network

    @property
    def channels(self):
        """Number of channels that images are read with: that of the network, and colour for a function."""
        if self.sources.model.function:
            return 3
        network = self.network
        return network.preprocessing.channels if network.preprocessing and network.image_place is not None else 3

    @functools.cached_property
    def data(self):
        """All of the [data] table: `lab.data.Data`."""
        if self.loaded.data is not None:
            return self.loaded.data
        source = self.sources.data
        columns = source.columns or None
        return open_data(source.source, kind=source.kind, label=source.label, group=source.group, columns=columns)

    @functools.cached_property
    def photographs(self):
        """The photographs, or some of the other data, as their source has them: `lab.data.Data`. An image is read when it is indexed.

        Where networks are trained from a layer on, these are some of the samples that were held out.
        """
        if self.sources.finetunes:
            held_out = data.choose(self.training_samples, self._split[1].tolist())
            return held_out.spread((self.sources.data or self.sources.images).most)
        if self.sources.data:
            return self.data.spread(self.sources.data.most)
        source = self.sources.images
        if self.loaded.data is not None:
            return self.loaded.data.part(slice(source.most))
        addresses = source.folder or source.files
        if not addresses:
            return data.photographs(source.photographs or data.PHOTOGRAPHS).part(slice(source.most))
        return open_images(addresses, channels=self.channels, levels=source.levels, most=source.most)

    def pictures(self, most):
        """Photographs in colour with their labels, whatever the network takes, which is not loaded for them.

        Args:
            most: int, how many are drawn at most, by the seed.

        Returns:
            `lab.data.Data`.

        Raises:
            Refused: for photographs without labels.
        """
        return self.build_once(("pictures", most), functools.partial(self._draw_pictures, most))

    @functools.cached_property
    def labelled_photographs(self):
        """All photographs in colour with their labels: `lab.data.Data`. Raises Refused where they have none."""
        source = self.sources.images
        addresses = source.folder or source.files
        photographs = open_images(addresses, levels=source.levels, most=source.most) if addresses else None
        if photographs is None or photographs.labels is None:
            raise Refused(
                "This needs photographs with labels: a folder with a subfolder for each class and no image beside them, or a list with a column label. Received: none."
            )
        return photographs

    def _draw_pictures(self, most):
        photographs = self.labelled_photographs
        count = len(photographs)
        rng = np.random.default_rng(self.sources.seed)
        places = range(count) if count <= most else np.sort(rng.choice(count, most, replace=False)).tolist()
        return data.choose(photographs, places)

    @functools.cached_property
    def images(self):
        """The photographs with their labels, where these are known, and with the table beside them; or the other data."""
        photographs, source = self.photographs, self.sources.images
        names = tuple(photographs.names)
        labels = self._known_labels(names, photographs.labels)
        if self.sources.data:
            return replace(photographs, labels=labels)
        table, columns = (None, ()) if source.table is None else tables.read_beside(source.table, names)
        if table is not None and len(table) > 1 and self.network.table_place is not None:
            self.network.background = self.network.check_background(table)
        return replace(photographs, names=names, labels=labels, table=table, columns=columns)

    def part(self, start, stop):
        """Photographs of a shard, with their labels where these are known.

        Args:
            start: int, the place of the first one.
            stop: int, the place after the last one.

        Returns:
            `lab.data.Data`.
        """
        part = self.photographs.part(slice(start, stop))
        labels = tuple(part.labels) if self._shards_have_labels else None
        return replace(part, names=tuple(part.names), labels=labels)

    @functools.cached_property
    def _shards_have_labels(self):
        """Whether the labels of photographs in shards are known: bool. Some of all are looked at, at equal distances."""
        photographs = self.photographs
        labels = photographs.labels and photographs.labels[:: -(-len(photographs) // LABELS)]
        return self._known_labels(photographs.names, labels) is not None

    def _known_labels(self, names, labels):
        """The labels of the photographs, or None. Where they need not be classes and are none: None, with a warning.

        Raises:
            Refused: where labels were asked for, and are missing or no classes.
        """
        if self.sources.finetunes:
            return tuple(labels) if self._labels_are_classes else None
        if self.sources.data:
            return self._data_labels(labels)
        rule = self.sources.images.labels
        # A recipe that says so itself wants them; by default they are used where there are any.
        required = rule == "folders" and "labels" in self.sources.images.model_fields_set
        if required:
            _refuse_loose_images(names, labels)
        if labels is None or rule == "none":
            return None
        labels = tuple(labels)
        if rule == "folders" and not required:
            return labels
        error = self._label_error(labels)
        if error is not None and required:
            raise Refused(f"labels=folders takes names of subfolders as true classes. {error}") from error
        if error is not None:
            warnings.warn(
                f"names of folders, or what is written beside images, are not used as labels: {error}", stacklevel=2
            )
        return labels if error is None else None

    def _data_labels(self, labels):
        """The labels of data that are no photographs, or None. Those that were asked for are classes."""
        error = None if labels is None else self._label_error(self.data.labels)
        if error is not None and self.sources.data.label is not None:
            raise Refused(f"label= names the column of the true classes. {error}") from error
        if error is not None:
            warnings.warn(f"the labels of the data are not used: {error}", stacklevel=3)
        return labels if error is None else None

    def _label_error(self, labels):
        """Why some labels are no classes of the output that is explained: Refused, or None."""
        output = self.sources.output
        try:
            correct_classes(sorted(set(labels)), self.network.classes_in(output), self.network.names_in(output))
        except Refused as error:
            return error
        return None

    @functools.cached_property
    def natural_images(self):
        """Natural images to set beside pictures: the photographs, or crops of packaged ones where none are named."""
        source = self.sources.images
        return self.images if source.folder or source.files else data.crops(data.photographs())

    @functools.cached_property
    def images_hash(self):
        """SHA-256 of the photographs, of their labels and of the table beside them."""
        images = self.images
        table = (str((images.labels, images.columns)), np.array(0 if images.table is None else images.table))
        return _digest(itertools.chain(zip(images.names, images.images), [table]))

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
        """The world, as registered, or the user's own data with planted cues."""
        if self.sources.planted:
            from sanity.planting import planted_world

            return planted_world(self.planted_scene)
        return worlds.get(self.sources.world)()

    @functools.cached_property
    def planted_data(self):
        """All photographs or other data, to plant cues in: `lab.data.Data`."""
        source = self.sources.images
        if self.sources.data:
            return self.data
        addresses = source.folder or source.files
        if not addresses:
            return data.photographs(source.photographs or data.PHOTOGRAPHS)
        return open_images(addresses, channels=self.channels, levels=source.levels)

    @functools.cached_property
    def planted_folder(self):
        """The folder that `lab plant` wrote: `recipes.planted.PlantedFolder`; None where networks are trained here."""
        folder = self.sources.planted.folder
        return PlantedFolder(folder) if folder else None

    @functools.cached_property
    def planted_scene(self):
        """The photographs or other data with what is planted in them: `sanity.planting.Scene`."""
        from sanity.planting import plant

        # Networks that are trained replace the weights that the model has.
        self.hash_of("model")
        return plant(self.network, self.planted_data, self._planting, self.sources.seed)

    @property
    def _planting(self):
        from sanity import planting

        table, kind = self.sources.planted, planting.planted_kind(self.network, self.planted_data)
        planting.refuse_network(self.network, kind)
        layer = planting.planted_layer(self.network, table.layer)
        settings = {name: getattr(table, name) for name in ("samples", "passes", "rate") if getattr(table, name)}
        training = replace(planting.usual_training(kind, layer), **settings)
        cues = planting.resolve_cues(table.cues, functools.partial(external_method, noun="cue"), kind)
        return planting.Planting(cues, table.size, table.contrast, layer, training)

    def subject(self, question=None, places=None):
        """The network with the images and targets to explain.

        Args:
            question: dict as of `schema.TargetTable.question`; of a world, as of
                `recipes.sections.world.question`.
            places: [start, stop] of the photographs of a shard, which are not kept; None: all photographs.

        Returns:
            `sanity.subject.Subject`.
        """
        question = question or {}
        if places is not None:
            return subject(self.network, self.part(*places), fit=self.sources.images.fit, **question)
        if self.sources.has_world:
            build = functools.partial(self._plant_subject, **question)
        else:
            build = functools.partial(subject, self.network, self.images, fit=self.sources.images.fit, **question)
        return self.build_once(("subject", str(sorted(question.items(), key=str))), build)

    def checked_subject(self, question=None, check="parameters"):
        """The subject of a question with the networks that were trained like its own, where there are any.

        Of networks that were trained from a layer on, the checks that compare networks are asked, and no other one.

        Args:
            question: dict, see `subject`.
            check: str, the name of the check.

        Returns:
            `sanity.subject.Subject`.
        """
        training, compares = self.sources.training, checks.tag(checks.get(check), "compares_networks", False)
        if training is None or (training.finetune and not compares):
            return self.subject(question)
        if training.function and checks.tag(checks.get(check), "trains_pairs", False):
            return replace(self.checked_subject(question), networks=self._user_pairs)
        build = self._finetuned_subject if training.finetune else self.subject
        key = ("checked", str(sorted((question or {}).items(), key=str)))
        return self.build_once(key, lambda: with_networks(build(question), self.user_networks, training.counts))

    @functools.cached_property
    def _user_pairs(self):
        """What trains networks in pairs by the user's function, on a part of the samples: `UserPairs`."""
        function, key = external_method(self.sources.training.function), self.hash_of("training")
        parts = [self._labelled(places.tolist()) for places in self._split]
        options = {"seed": self.sources.seed, "key": key, "cache": self.cache.get, "output": self.sources.output}
        return UserPairs(self.network, function, *parts, **options)

    def _finetuned_subject(self, question):
        """The subject of the first network that was trained from a layer on."""
        networks = self.user_networks
        networks.network.adopt(networks.train("replicate", 0))
        classes = tuple(self._training_classes[label] for label in self.photographs.labels)
        samples = replace(self.images, labels=classes)
        return about_finetuned(subject(networks.network, samples, fit=self._fit, **(question or {})), networks)

    def refuse_untrained_target(self, target):
        """Raise Refused for a target that networks which are trained from a layer on do not know.

        Args:
            target: str or int, of a check.
        """
        if target == "top":
            return
        trained = set(self._training_classes.values()) if self._labels_are_classes else ()
        if self.network.class_index(target, self.sources.output) not in trained:
            raise Refused(
                f"Networks that are trained from a layer on know the classes of the labels: the target is top or one of these. Received: {target!r}."
            )

    @functools.cached_property
    def user_networks(self):
        """The networks of the [training] table: `UserNetworks` or `FileNetworks` of `sanity.user_networks`, or `FinetunedNetworks`."""
        training = self.sources.training
        if training.files:
            return FileNetworks(self.network, [self._load_replicate(file) for file in training.files], training.files)
        if training.finetune:
            return self._finetuned_networks()
        function, key = external_method(training.function), self.hash_of("training")
        samples = self.training_samples
        inputs = self._stream(samples) if takes_dataset(function) else samples.inputs_of(self.network, self._fit)
        options = {"seed": self.sources.seed, "key": key, "cache": self.cache.get, "output": self.sources.output}
        return UserNetworks(self.network, function, inputs, self._training_labels, **options)

    def _finetuned_networks(self):
        """Networks that are trained from a layer on, in a network of their own, so that the user's keeps its weights."""
        from sanity.planting import planted_layer

        network = self.loaded.network.copy() if self.loaded.network else self._load_model()
        layer = self.sources.training.finetune
        parts = [self._labelled(places.tolist()) for places in self._split]
        layer = planted_layer(network, None if layer == "auto" else layer)
        return FinetunedNetworks(
            network, layer, *parts, seed=self.sources.seed, key=self.hash_of("training"), cache=self.cache.get
        )

    def _labelled(self, places):
        """Training samples at some places: `Labelled`."""
        samples = data.choose(self.training_samples, places)
        return Labelled(self._stream(samples), self._training_labels[places], samples.groups)

    @property
    def _fit(self):
        return self.sources.images.fit

    def _stream(self, samples):
        """Samples as they are trained on: `Streamed`. Photographs are read when they are asked for; other data lie in memory."""
        network, fit = self.network, self._fit
        if samples.kind == "image":
            return Streamed(lambda places: data.choose(samples, places).inputs_of(network, fit), len(samples))
        return from_arrays(samples.inputs_of(network, fit))

    @functools.cached_property
    def _split(self):
        """Places of the samples that networks are trained on from a layer on, and of those held out."""
        return hold_out(self._training_labels, self.training_samples.groups, self.sources.seed)

    def _load_replicate(self, file):
        if file in self.loaded.replicates:
            return self.loaded.replicates[file]
        return self._load(self.sources.model.model_copy(update={"source": file}), "imagenet")

    @functools.cached_property
    def audit_replicates(self):
        """The networks of the [audit] table that were trained like the model: list of `Network`."""
        files = self.sources.audit.replicates
        networks = [self._load_replicate(file) for file in files]
        refuse_replicates(self.network, networks, files)
        return networks

    @functools.cached_property
    def training_samples(self):
        """All photographs or other data that networks are trained on, with labels: `lab.data.Data`.

        Raises:
            Refused: where there are no labels.
        """
        if self.sources.data:
            if self.data.labels is None:
                raise Refused(
                    "Networks are trained on data with labels: name the column with label=, or put labels beside the inputs. Received: none."
                )
            return self.data
        source = self.sources.images
        photographs = self.loaded.data
        if photographs is None and (source.folder or source.files):
            photographs = open_images(source.folder or source.files, channels=self.channels, levels=source.levels)
        if photographs is None or photographs.labels is None:
            raise Refused(
                "Networks are trained on photographs with labels: a folder with a subfolder for each class, or a list with a column label. Received: none."
            )
        return photographs

    @property
    def _training_labels(self):
        """The class of each of the training samples: int [samples]."""
        labels, classes = self.training_samples.labels, self._training_classes
        return np.fromiter((classes[label] for label in labels), "int64", len(labels))

    @functools.cached_property
    def _labels_are_classes(self):
        """Whether all labels of the training samples are classes of the network: bool."""
        return self._label_error(self.training_samples.labels) is None

    @functools.cached_property
    def _training_classes(self):
        """The class that each label stands for: dict of label to int.

        From a layer on the head is drawn anew, so that labels which are no classes take the place of the first ones.

        Raises:
            Refused: for labels that are no classes of a network that a function trains, and for too many.
        """
        names, output = sorted(set(self.training_samples.labels)), self.sources.output
        count = self.network.classes_in(output)
        if self._labels_are_classes or not self.sources.finetunes:
            classes = correct_classes(names, count, self.network.names_in(output)).argmax(axis=1)
            return dict(zip(names, map(int, classes)))
        if len(names) > count:
            raise Refused(
                f"A network is trained on as many classes as it has, at most. Received: {len(names)} labels for {self.network.name}, which has {count}."
            )
        return {name: place for place, name in enumerate(names)}

    @functools.cached_property
    def world_networks(self):
        """The networks of the world: `sanity.world_networks.WorldNetworks`, or `StoredNetworks` of a planted folder."""
        if self.sources.planted and self.planted_folder:
            self._refuse_changed_planting()
            return StoredNetworks(self.world, self.sources.seed, self.network, self.planted_folder.weights)
        network = self.network if self.sources.planted else None
        return WorldNetworks(self.world, self.sources.seed, network, cache=self.cache.get)

    def _refuse_changed_planting(self):
        """Raise Refused where the networks of a planted folder were trained from another model, or on other pictures."""
        before = self.planted_folder.manifest["hashes"]
        for name, words in (
            ("model", "another model"),
            ("world", f"other {'data' if self.sources.data else 'pictures'}, or a cue of other code,"),
        ):
            if self.hash_of(name) != before.get(name):
                raise Refused(
                    f"Networks of a planted folder are checked with what they were planted in. Received: {words} than {self.planted_folder.path} has. Plant again: lab plant."
                )

    def _plant_subject(self, **counts):
        return world_subject(
            self.world, seed=self.sources.seed, cache=self.cache.get, networks=self.world_networks, **counts
        )

    def prepare_check(self, check, question, settings, seed, answers=None):
        """What all methods of a check may share, built once: random networks, nulls and rewrites.

        Args:
            check: name of the check.
            question: dict, see `subject`.
            settings: options of the check. Those that its preparation takes tell one preparation from another.
            seed: int.
            answers: (name of an answer of `sanity.answers`) -> its arrays, or None where they are to be measured here.

        Returns:
            dict, keyword arguments of the check.
        """
        checked, check = self.checked_subject(question, check), checks.get(check)
        once = functools.partial(self._share, question, answers or (lambda name: None))
        build = functools.partial(prepare_shared, check, checked, seed, settings, once)
        known = options(checks.tag(check, "prepare")) if checks.tag(check, "prepare") else {}
        prepare_settings = sorted((name, value) for name, value in settings.items() if name in known)
        return self.build_once((check, str(question), str(prepare_settings), seed), build)

    def _share(self, question, answers, name, build):
        """What several checks of one question share, read where it was measured before, or built, once."""
        key = (name, str(sorted((question or {}).items(), key=str)))
        return self.build_once(key, lambda: answers(name) or build())

    def answer(self, answer, question, seed):
        """What the network itself shows by interventions, which checks share.

        Args:
            answer: str, a name of `sanity.answers`.
            question: dict, see `subject`.
            seed: int.

        Returns:
            dict of arrays, empty where nothing can be asked.
        """
        # All checks that share an answer have the subject of `truth`: they compare no networks of one kind.
        measure = functools.partial(share, answer, self.checked_subject(question, "truth"), seed)
        return self._share(question, lambda _: None, answer, measure)

    def build_once(self, key, build):
        """The value of `build()`, kept for all later calls in this process.

        Args:
            key: hashable; it names the value.
            build: function without arguments.

        Returns:
            the value.
        """
        if key not in self._built:
            self._built[key] = build()
        return self._built[key]

    def keep_last(self, key, build):
        """The value of `build()`, kept until another key is asked for, for what is too large to be kept.

        Args:
            key: hashable; it names the value.
            build: function without arguments.

        Returns:
            the value.
        """
        if self._last[0] != key:
            # The earlier value is given up before the next one is built.
            self._last = (None, None)
            self._last = (key, build())
        return self._last[1]

    def method(self, name):
        """An explainer by its registered name or as "module:function", as its code was when it was first asked for."""
        return self.build_once(("method", name), lambda: external_method(name) if ":" in name else explainers.get(name))

    @property
    def modules(self):
        """Names of the user's modules that the model is loaded with, or in which its function is: tuple of str."""
        model = self.sources.model
        function_modules = (model.function.partition(":")[0],) if model.function else ()
        return () if self.sources.world else (*model.modules, *function_modules)

    def hash_of(self, name):
        """What a job that reads something depends on.

        Args:
            name: "model", "weights", "planting", "images", "data", "audit", "current", "replicates", "natural images", "world", "training", "lab", "versions", "threads" or "gpus"; or
                "images:START-STOP" of a shard, "pictures:MOST", "file:PATH", "set:PATH", "counterparts:COLUMN", "image:PATH",
                "network:NAME", "code:MODULE" or "version:DISTRIBUTION".

        Returns:
            str: a SHA-256, a version or a number. A world is hashed before anything is trained.
        """
        kind, _, rest = name.partition(":")
        return self.build_once(("hash", name), functools.partial(self._hash, kind, rest))

    def _hash(self, kind, name):
        functions = {
            "model": self._model_hash,
            "weights": self._weights_hash,
            "data": self._data_hash,
            "audit": lambda: self._audit_hash("test", "train", "sheet", "metadata"),
            "current": lambda: self._audit_hash("current"),
            "replicates": lambda: repr([self._replicate_hash(file) for file in self.sources.audit.replicates]),
            "images": lambda: self._part_hash(name) if name else f"{self.images_hash} {self.sources.images.fit}",
            "natural images": lambda: f"{self.natural_images_hash} {self.sources.images.fit}",
            "pictures": lambda: self._pictures_hash(int(name)),
            "file": lambda: hashlib.sha256(as_path(name).read_bytes()).hexdigest(),
            "world": self._world_hash,
            "planting": self._planting_hash,
            "training": self._training_hash,
            "lab": provenance.lab_hash,
            "versions": lambda: digest(provenance.versions()),
            "threads": lambda: str(self.sources.threads),
            "gpus": lambda: str(self.sources.gpus),
            "image": lambda: _digest([("image", read(name, channels=self.channels))]),
            "set": lambda: self._set_hash(name),
            "counterparts": lambda: self._counterparts_hash(name),
            "network": lambda: _file_or_name_hash(name),
            "code": lambda: provenance.imported_hash(name),
            "version": lambda: provenance.version(name),
        }
        return functions[kind]()

    def _audit_hash(self, *names):
        """SHA-256 of some files of an audit, and of which column is the label."""
        table = self.sources.audit
        hashes = [getattr(table, name) and self.hash_of(f"set:{getattr(table, name)}") for name in names]
        return hashlib.sha256(repr([hashes, table.label, table.dataset]).encode()).hexdigest()

    def _counterparts_hash(self, column):
        """SHA-256 of all photographs that are counterparts. Their names are cells, which no manifest holds."""
        from recipes.audits import counterpart_paths, read_sets

        paths = counterpart_paths(self.sources.audit, read_sets(self), column)
        return digest([path and self._hash("file", path) for path in paths])

    def _data_hash(self):
        """SHA-256 of all data, also of those that are not explained, and of how some of them are chosen."""
        return f"{self._whole_data_hash} {self.sources.data.most}"

    @functools.cached_property
    def _whole_data_hash(self):
        data, source = self.data, self.sources.data
        known = (data.names, data.labels, data.columns, data.groups, data.kind, data.label)
        file = source.vocabulary or source.tokenizer
        words = file and as_path(file).read_bytes()
        arrays = [
            (str(known), np.asarray(data.inputs)),
            (str(words), np.array(0 if data.masks is None else data.masks)),
        ]
        return _digest(arrays)

    def _part_hash(self, places):
        """SHA-256 of what is known of the photographs of a shard without reading them: names, and sizes, times or checksums."""
        part, source = self.photographs.part(slice(*map(int, places.split("-")))), self.sources.images
        known = _digest(zip(part.names, part.images)) if part.stamps is None else list(part.stamps)
        addresses = [_absolute(address) for address in ([source.folder] if source.folder else source.files)]
        described = [addresses, list(part.names), known, source.levels, source.fit, self._shards_have_labels]
        return hashlib.sha256(repr(described).encode("utf-8", "backslashreplace")).hexdigest()

    def _pictures_hash(self, most):
        """SHA-256 of pictures, of their files as they are, of their labels, and of how many they were drawn from."""
        pictures = self.pictures(most)
        digest = hashlib.sha256(_digest(zip(pictures.names, pictures.images)).encode())
        for path in pictures.paths or ():
            digest.update(hashlib.sha256(as_path(path).read_bytes()).digest())
        digest.update(repr((list(pictures.labels), list(map(str, pictures.groups)), self.sources.images.fit)).encode())
        digest.update(str(len(self.labelled_photographs)).encode())
        return digest.hexdigest()

    def _set_hash(self, address):
        """SHA-256 of the inputs at an address: a file, or all files of a folder with their names; textures are their address."""
        if address.startswith("texture:"):
            return f"{address} {self.sources.seed}"
        path = as_path(address)
        paths = sorted(entry for entry in path.rglob("*") if entry.is_file()) if is_folder(path) else [path]
        entries = [(str(entry.relative_to(path)) if entry != path else "", entry.read_bytes()) for entry in paths]
        return hashlib.sha256(
            repr([(name, hashlib.sha256(content).hexdigest()) for name, content in entries]).encode(
                "utf-8", "backslashreplace"
            )
        ).hexdigest()

    def _training_hash(self):
        """SHA-256 of what decides the networks of the [training] table: files, or function, data and model."""
        training = self.sources.training
        known = [training.model_dump(exclude={"replicates", "permuted_label_networks"})]
        if training.files:
            known += map(self._replicate_hash, training.files)
            return hashlib.sha256(repr(known).encode()).hexdigest()
        streams = False
        if training.function:
            # Which modules a function has is known once it was imported.
            streams = takes_dataset(external_method(training.function))
            known += [self.hash_of(f"code:{training.function.partition(':')[0]}")]
        known += [self.hash_of("model"), self.sources.seed, self._training_samples_hash(streams)]
        return hashlib.sha256(repr(known).encode()).hexdigest()

    def _replicate_hash(self, file):
        if file in self.loaded.replicates:
            return self.loaded.replicates[file].fingerprint()
        return hashlib.sha256(as_path(file).read_bytes()).hexdigest()

    def _training_samples_hash(self, streams):
        """SHA-256 of the samples that networks are trained on, and of their labels.

        Args:
            streams: bool, whether photographs may be too many to be read for it. Then sizes and times of their files stand for them.
        """
        samples = self.training_samples
        if self.sources.data:
            return self._whole_data_hash
        if streams and samples.stamps is not None:
            rows = zip(samples.names, samples.labels, samples.stamps)
            pixels = ""
        else:
            rows = zip(samples.names, samples.labels, map(str, samples.groups))
            pixels = _digest(zip(samples.names, samples.images))
        digest = hashlib.sha256(f"{self._fit} {pixels}".encode())
        for row in rows:
            digest.update(repr(row).encode("utf-8", "backslashreplace"))
        return digest.hexdigest()

    def _planted_hash(self):
        """SHA-256 of what decides planted samples and networks: model, data, cues, settings and seed."""
        known = [self.hash_of("planting"), self.hash_of("model"), self.sources.seed]
        return hashlib.sha256(repr(known).encode()).hexdigest()

    def _planting_hash(self):
        """SHA-256 of what is planted, whatever the model: data, cues and settings."""
        data, table = self.planted_data, self.sources.planted
        inputs = self.hash_of("data") if self.sources.data else _digest(zip(data.names, data.images))
        known = [table.model_dump(exclude={"folder", "replicates", "images"}), list(map(str, data.groups)), inputs]
        functions = [function for _, function in self.planted_scene.planting.cues if function]
        known += [self.hash_of(f"code:{name.partition(':')[0]}") for name in table.cues if ":" in name and functions]
        return hashlib.sha256(repr(known).encode("utf-8", "backslashreplace")).hexdigest()

    def _world_hash(self):
        if self.sources.planted:
            return self._planted_hash()
        world, seed = self.world, self.sources.seed
        training_data = world.training_data(seed) if world.training else world.draw(8, seed)[0]
        built_from = f"{world.name}{seed}{architecture(world.build())}{world.training}"
        arrays = [("training data", training_data.inputs), ("labels", training_data.labels)]
        return hashlib.sha256(f"{built_from}{_digest(arrays)}".encode()).hexdigest()

    def _model_hash(self):
        """SHA-256 of the network: file, weights, layers, preprocessing, class names, and how it is asked to be loaded."""
        network, model = self.network, self.sources.model
        file = (
            model.reference
            if model.function or not pathlib.Path(model.source).exists()
            else provenance.file_hash(model.source)
        )
        described = (file, self.hash_of("weights"), network.preprocessing, network.classes, network.fold)
        described += (model.memory_gib, [self.hash_of(f"code:{module}") for module in self.modules], model.batch)
        if network.tokenizer is not None:
            described += (network.tokenizer.pieces, network.tokenizer.longest)
        return hashlib.sha256(repr(described).encode("utf-8", "backslashreplace")).hexdigest()

    def _weights_hash(self):
        """SHA-256 of the network's weights and layers, wherever it was loaded from."""
        network = self.network
        layers = [(row.path, row.type, row.shape, _config(network.tree[row.path])) for row in network.layers()]
        known = (network.fingerprint(), layers)
        if self.sources.model.function:
            # All functions have the same layers, none.
            known += (self.sources.model.function, *(self.hash_of(f"code:{module}") for module in self.modules))
            # What it reads beside its code, such as a stored forest, shows in its answers.
            answers = network.model.answers
            known += (np.round(answers / (np.abs(answers).max() or 1), 5).tolist(),)
        described = repr(known)
        return hashlib.sha256(described.encode("utf-8", "backslashreplace")).hexdigest()

    def seconds_per_gradient(self):
        """Measure once how long the gradient of one sample takes here, and its compilation.

        Returns:
            float, float: seconds of one gradient, or of three scores of a function, the mean of eight copies of the first image;
            seconds of compiling.
        """
        return self._seconds_per_gradient(self.network)

    def seconds_per_default_gradient(self):
        """The same of the network that the lab loads by default.

        Returns:
            float, float: seconds of one gradient, and of compiling it.
        """
        return self._seconds_per_gradient(self.pretrained)

    def _seconds_per_gradient(self, network):
        inputs = np.repeat(network.preprocess(self._first_image, fit=self.sources.images.fit), 8, axis=0)
        name, shape = next(iter(network.outputs.items()))
        objective = logit(0, output=name) if len(shape) == 2 else layer(network.last_spatial())
        has_gradients = "gradients" in network.capabilities
        ask = routines.gradient if has_gradients else routines.scores
        first_start = time.perf_counter()
        ask(network, inputs, objective)
        second_start = time.perf_counter()
        ask(network, inputs, objective)
        seconds = (time.perf_counter() - second_start) * (1 if has_gradients else 3)
        return seconds / 8, max(0.0, second_start - first_start - seconds)

    @property
    def _first_image(self):
        """One of the images that are worked on; of an audit the first one to test."""
        if self.sources.audit is None:
            return self.photographs.images[0]
        from recipes.audits import read_sets

        return read_sets(self).data["test"].images[0]


def _refuse_loose_images(names, labels):
    """Raise Refused where some image has no label, such as one that lies beside the subfolders."""
    if labels is None:
        loose = next((name for name in names if "/" not in name), names[0])
        raise Refused(
            f"labels=folders needs every photograph in a subfolder, named by its class, or with a label in its list or shard. Received: {loose!r}, which has neither. Move it, or give labels=none."
        )


def _absolute(address):
    """An address as text that does not depend on the current folder."""
    return str(as_path(address)) if is_remote(as_path(address)) else os.path.abspath(address)


def _file_or_name_hash(name):
    """SHA-256 of another model's file, or of its name where the installed packages provide the model: str."""
    return provenance.file_hash(name) if pathlib.Path(name).exists() else hashlib.sha256(name.encode()).hexdigest()


def _digest(named_arrays):
    digest = hashlib.sha256()
    for name, array in named_arrays:
        digest.update(f"{name}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()


def _config(layer):
    """How a layer is built, as text, or its type's name where it does not say."""
    try:
        # The text of some objects holds their address in memory, which is another one in every process.
        return re.sub(r"0x[0-9a-f]+", "", repr(layer.get_config()))
    except Exception:
        # A layer of a user may raise any exception.
        return type(layer).__qualname__


def refresh_module(module):
    """Have the next import of a module read its files again. It may be installed, or lie in the current folder."""
    provenance.look_here_first()
    provenance.refresh(module)


def external_method(name, noun="method"):
    """The function named "module:function", from the installed packages or the current folder.

    Args:
        name: str, "module:function".
        noun: str, what the function is to the user.

    Returns:
        the function.

    Raises:
        Refused: where there is none.
    """
    module, _, function = name.partition(":")
    method = getattr(_import_module(module, name, noun), function, None)
    if not callable(method):
        problem = (
            f"{module} has no such name"
            if method is None
            else f"it is of the type {type(method).__name__}, which cannot be called"
        )
        raise Refused(f'A {noun} of your own is a function, "module:function". Received: {name!r}: {problem}.')
    return method


def _import_module(module, name, noun):
    """Import a module of the user from its files as they are now."""
    try:
        refresh_module(module)
        return models.import_user_module(module)
    except (Exception, SystemExit) as error:
        # A module that cannot be imported may raise any exception, SystemExit included.
        raise Refused(
            f'A {noun} of your own is "module:function". Received: {name!r}: {type(error).__name__}: {error}.'
        ) from error
