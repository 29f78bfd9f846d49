"""Recipes: what parses, what is refused, and in which words."""

import pytest

from recipes import fields, schema

BASE = {"name": "x", "explain": {}}


def test_shipped_recipes_are_valid_and_their_plain_values_parse_to_the_same_recipe():
    for name in schema.shipped_names():
        recipe = schema.read(name)
        assert recipe.name == name
        assert schema.recipe(schema.plain_values(recipe)) == recipe


@pytest.mark.parametrize(
    "text, units", [("0-3,7", [0, 1, 2, 3, 7]), ("5", [5]), (" 1 - 2 ", [1, 2]), (4, [4]), ([3, 1], [3, 1])]
)
def test_units(text, units):
    assert fields.parse_units(text) == units


@pytest.mark.parametrize(
    "table, words",
    [
        ({**BASE, "seeed": 1}, "'seeed'.*seed"),
        ({**BASE, "model": {"sorce": "x"}}, "'model.sorce'.*source"),
        ({"name": "x"}, "at least one of"),
        ({**BASE, "name": "../up"}, "name"),
        ({**BASE, "seed": -1}, "seed.*-1"),
        ({"name": "x", "gallery": [{"layer": "a"}]}, "units or top_for"),
        ({"name": "x", "gallery": [{"layer": "a", "units": "3-1"}]}, "empty"),
        ({"name": "x", "gallery": [{"layer": "a", "units": "one"}]}, "numbers and ranges.*'one'"),
        ({"name": "x", "gallery": [{"layer": "a", "units": "1", "logits": [1]}]}, "none or several"),
        ({"name": "x", "world": {"nam": "patch"}, "check": [{}]}, "world.name"),
        ({"name": "x", "world": {"name": "patch", "replicates": 0}, "check": [{}]}, "world.replicates"),
        ({"name": "x", "world": {"name": "patch"}, "model": {"source": "y"}, "check": [{}]}, "Received: both"),
        ({"name": "x", "world": {"name": "patch"}, "explain": {}}, "holds only \\[\\[check"),
        ({"name": "x", "explain": {"methods": ["os.system('x')"]}}, "module:function"),
        ({**BASE, "images": {"folder": "a", "files": ["b"]}}, "one of folder, files"),
    ],
)
def test_refusals_name_the_key_and_what_was_received(table, words):
    with pytest.raises(ValueError, match=words) as refusal:
        schema.recipe(table)
    assert "\n" not in str(refusal.value)


def test_settings(tmp_path):
    recipe = schema.read(
        "first-look",
        [
            "gallery.0.steps=9",
            "seed=4",
            "title=hello",
            "explain.methods=['gradient']",
            "check.0.options.smoothgrad.samples=3",
        ],
    )
    assert (recipe.gallery[0].steps, recipe.seed, recipe.title, recipe.explain.methods) == (9, 4, "hello", ["gradient"])
    assert recipe.check[0].options["smoothgrad"] == {"samples": 3}
    for setting, words in (
        ("seed", "key=value"),
        ("gallery.7.steps=1", "0 to 0"),
        ("seed.x=1", "holds a value"),
        ("gallery.0.stps=1", "steps"),
    ):
        with pytest.raises(ValueError, match=words):
            schema.read("first-look", [setting])
    judged = recipe.check[0]
    assert schema.read("first-look").explain.methods == judged.methods and len(recipe.images.photographs) >= 8
    with pytest.raises(ValueError, match="'first-lok'.*first-look"):
        schema.read("first-lok")
    bad = tmp_path / "bad.toml"
    bad.write_text("name = ")
    with pytest.raises(ValueError, match="TOML file.*bad.toml"):
        schema.read(bad)


def test_a_key_by_its_former_name_is_read_with_a_warning_that_names_the_new_one():
    table = {"name": "a", "gallery": [{"layer": "relu", "units": [0], "company": False}]}
    with pytest.warns(DeprecationWarning, match="'company' of a recipe is now called 'connections'"):
        assert schema.recipe(table).gallery[0].connections is False
    table["gallery"][0]["connections"] = True
    with pytest.raises(ValueError, match="give it once. Received: both"):
        schema.recipe(table)
