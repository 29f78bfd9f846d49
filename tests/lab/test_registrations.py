"""Registrations: what is read from the source is what the registries hold, in the same order."""

import subprocess
import sys

import pytest

from lab import method_modules, model_names, models, objectives, registrations, textures
from lab.attribution import explainers
from lab.attribution.calls import needed_capability
from lab.concepts import dictionaries
from lab.registry import Registry, options, summary
from lab.visualization import parameterizations, regularizers, transforms
from recipes import catalogue
from sanity import check_names, cues, metrics, shortcuts, worlds
from sanity.checks import checks
from sanity.shortcuts import swaps

REGISTRIES = {
    "checks": checks,
    "cues": cues.cues,
    "learners": dictionaries.learners,
    "methods": explainers,
    "metrics": metrics.metrics,
    "objectives": objectives.objectives,
    "parameterizations": parameterizations.parameterizations,
    "regularizers": regularizers.regularizers,
    "swaps": swaps.swaps,
    "textures": textures.textures,
    "transforms": transforms.transforms,
    "views": shortcuts.views,
    "worlds": worlds.worlds,
}
MODULE = '''
from lab.registry import Registry

things = Registry("thing")


@things.register(library="other", needs="scores", cost=lambda network: 1)
def first(network, *, samples, seed=0):
    """One line.

    Another one.
    """


@things.register
@things.unrelated
def second(network):
    pass


def not_registered(network):
    """Nothing."""
'''


@pytest.mark.parametrize("kind", REGISTRIES)
def test_a_list_holds_what_the_registry_holds(kind):
    registry, rows = REGISTRIES[kind], getattr(catalogue, kind)()
    named = {row["name"]: row["summary"] for row in rows if row not in named_cues()}
    assert named == {name: summary(registry.get(name)) for name in ours(registry)}
    # Checks are sorted by their claims, metrics of masks come first, and methods register as their modules are first imported.
    assert kind in ("checks", "methods", "metrics") or list(named) == ours(registry)


def ours(registry):
    """The names that files of the project registered, and no test: list of str."""
    return [name for name in registry if registry.get(name).__module__.split(".")[0] in ("lab", "sanity")]


def named_cues():
    return [dict(zip(("name", "kind", "summary"), row)) for row in catalogue.NAMED_CUES]


def test_methods_are_listed_with_what_they_need():
    rows = {row["name"]: row for row in catalogue.methods()}
    assert {name: row["needs"] for name, row in rows.items()} == {
        name: needed_capability(explainers.get(name)) for name in ours(explainers)
    }
    assert {name for name, row in rows.items() if row["kind"]} == set(explainers.names(control=True))


def test_options_and_tags_are_those_of_the_functions():
    for name, modules, registry in (
        ("explainers", method_modules.method_modules(), explainers),
        ("checks", registrations.modules_in("sanity.checks"), checks),
    ):
        for row in registrations.read_registrations(name, modules):
            function = registry.get(row.name)
            assert set(row.options) == set(options(function)), row.name
            assert all(registry.tag(function, tag) == value for tag, value in row.tags.items()), row.name


def test_metrics_are_listed_with_what_is_better():
    better = {row["name"]: row["better"] for row in catalogue.metrics()}
    assert better == {
        name: metrics.metrics.tag(metrics.metrics.get(name), "better", "") for name in ours(metrics.metrics)
    }


def test_checks_have_their_claims():
    assert [*check_names.registered_checks()] == ours(checks)
    for name in ours(checks):
        assert check_names.claim_of(name) == checks.tag(checks.get(name), "claim", "maps")
        for tag, default in (("table", None), ("judged", True)):
            assert check_names.tag_of(name, tag, default) == checks.tag(checks.get(name), tag, default)


def test_models_are_those_that_keras_has():
    assert set(model_names.applications()) == set(models._APPLICATIONS)
    assert set(model_names.EFFICIENTNETS) == set(models.efficientnet.VARIANTS)
    assert model_names.is_downloaded("mobilenetv2") and not model_names.is_downloaded(model_names.DEFAULT)


def test_a_function_is_read_as_it_is_registered(tmp_path, monkeypatch):
    (tmp_path / "things.py").write_text(MODULE)
    monkeypatch.setattr(registrations, "ROOT", tmp_path)
    first, second = registrations.read_registrations("things", ["things"])
    assert first == registrations.Registration(
        "other.first", "One line.", ("samples", "seed"), {"library": "other", "needs": "scores"}
    )
    assert second == registrations.Registration("second", "", (), {})
    registry = Registry("thing")
    registry.register(lambda network: None, library="other", name="first")
    assert list(registry) == [first.name]


def test_a_module_comes_after_those_that_it_imports(tmp_path, monkeypatch):
    (tmp_path / "one.py").write_text("from two import things\n\n\n@things.register\ndef later():\n    pass\n")
    (tmp_path / "two.py").write_text("import one\n\n\n@things.register\ndef sooner():\n    pass\n")
    monkeypatch.setattr(registrations, "ROOT", tmp_path)
    assert [row.name for row in registrations.read_registrations("things", ["one", "two"])] == ["sooner", "later"]


def test_modules_are_imported_when_a_function_is_looked_up_and_keep_their_order(tmp_path, monkeypatch):
    (tmp_path / "holder_of_things.py").write_text(
        "from lab.registry import Registry\nthings = Registry('thing', lambda: ['thing_one', 'thing_two'])\n"
    )
    for number in ("one", "two"):
        text = f"from holder_of_things import things\n\n\n@things.register\ndef {number}():\n    return len(things.names())\n"
        (tmp_path / f"thing_{number}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    from holder_of_things import things

    assert "thing_one" not in sys.modules
    import thing_two  # noqa: F401

    assert list(things) == ["one", "two"] and things.get("one")() == 2
    assert "two" in things and things.name(things.get("two")) == "two"


def test_explaining_imports_no_check():
    script = "import sys, recipes.session; print([name for name in sys.modules if name.startswith('sanity.checks.')])"
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "[]"


WAITING = """
from tests.lab.test_registrations import WAITED


@WAITED.register
def early():
    pass


{last}
"""
WAITED = Registry("waiting thing", lambda: ["waiting_module"])


def test_a_module_that_cannot_be_imported_is_never_left_out(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    file = tmp_path / "waiting_module.py"
    file.write_text(WAITING.format(last="import no_such_module_at_all"))
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError, match="no_such_module_at_all"):
            WAITED.names()
    file.write_text(WAITING.format(last=""))
    assert WAITED.names() == ["early"]
