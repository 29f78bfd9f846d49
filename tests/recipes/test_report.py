"""The report in a real browser: it opens from disk, offline, without a word of complaint, and its controls work."""

import itertools
import json
import pathlib
import re
import types

import numpy as np
import pytest

from recipes import schema
from recipes.progress import Progress
from recipes.report import cards, figures, photographs, summary
from recipes.report.findings import FINDINGS, plain_words
from recipes.report.templates import breakable
from recipes.runs import carry_out
from sanity.evidence import Evidence
from sanity.ruling import rules
from tests import own_data
from tests.recipes.conftest import write_quick_recipe


@pytest.fixture(scope="module")
def report(small_file, tmp_path_factory):
    """The report of a run that has every section. Tests read it and change nothing."""
    folder = tmp_path_factory.mktemp("report")
    recipe = schema.read(write_quick_recipe(small_file, folder), ["title=<script>alert(1)</script>"])
    return carry_out(recipe, folder / "artifacts", Progress(quiet=True)).report


@pytest.fixture
def browser(chromium):
    """A tab of its own, without what earlier ones set or said."""
    first = chromium.current_window_handle
    chromium.switch_to.new_window("tab")
    for kind in ("browser", "performance"):
        chromium.get_log(kind)
    yield chromium
    chromium.close()
    chromium.switch_to.window(first)


def scroll_to_units(driver):
    """Pictures of units are drawn when they come into sight."""
    scroll = "document.querySelector('#gallery').scrollIntoView(); requestAnimationFrame(() => setTimeout(arguments[0], 200))"
    driver.execute_async_script(scroll)


def test_the_page_holds_everything_and_escapes_what_came_from_outside(report):
    page = report.read_text()
    assert "<script>alert(1)" not in page and "&lt;script&gt;alert(1)" in page
    units = json.loads(page.split('id="units">')[1].split("</script>")[0])
    assert len(units) == 7 and {unit["layer"] for unit in units} == {"last", "logits"}
    assert page.count('class="over"') == 15 and page.count('<article class="photograph"') == 3
    assert page.count('<article class="card') == 8
    assert "http://" not in page.replace("http://www.w3.org", "") and "https://" not in page


def test_the_page_works_offline_in_a_browser(report, browser):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    browser.get("about:blank")
    browser.get_log("performance")  # what the browser asked for on its own, before the page
    browser.get(report.as_uri())
    find = lambda selector: browser.find_element(By.CSS_SELECTOR, selector)  # noqa: E731
    tiles = lambda: browser.find_elements(By.CSS_SELECTOR, ".tile")  # noqa: E731
    scroll_to_units(browser)
    assert len(tiles()) == 7 and all(
        browser.execute_script("return [...document.images].map(image => image.complete && image.naturalWidth > 0)")
    )
    find("#filter").send_keys("last 3")
    assert find("#count").text == "1 of 7" and len(tiles()) == 1
    find("#filter").send_keys(Keys.CONTROL + "a", Keys.DELETE)
    tiles()[0].send_keys(Keys.ARROW_RIGHT)
    assert browser.switch_to.active_element == tiles()[1]
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    assert find("#large").is_displayed() and "last 1" in find("#inside").text
    find("#large").send_keys(Keys.ARROW_RIGHT)
    assert "last 2" in find("#inside").text
    find("#large").send_keys(Keys.ESCAPE)
    assert not find("#large").is_displayed()
    over = find(".over")
    before = over.value_of_css_property("opacity")
    find("#flip").click()
    assert before == "1" and over.value_of_css_property("opacity") == "0"
    complaints = [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
    sent = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [entry["params"]["request"]["url"] for entry in sent if entry["method"] == "Network.requestWillBeSent"]
    assert complaints == [] and [url for url in urls if not url.startswith(("file:", "data:"))] == []


def axe(driver):
    """What axe-core finds wrong with the page that is open: list of (rule, elements)."""
    package = pytest.importorskip("axe_core_python")
    driver.execute_script((pathlib.Path(package.__file__).parent / "axe.min.js").read_text())
    result = driver.execute_async_script("const done = arguments[0]; axe.run({resultTypes: ['violations']}).then(done)")
    return [(rule["id"], [node["html"][:120] for node in rule["nodes"]]) for rule in result["violations"]]


@pytest.mark.parametrize("width, scheme", [(1200, "light"), (1200, "dark"), (390, "light")])
def test_the_page_is_read_by_a_screen_reader_in_the_dark_and_on_a_phone(report, browser, width, scheme):
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    screen = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    browser.get(report.as_uri())
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert axe(browser) == []
    browser.execute_script("for (const node of document.querySelectorAll('details')) node.open = true")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert axe(browser) == []
    scroll_to_units(browser)
    browser.execute_script("document.querySelector('.tile').click()")
    assert axe(browser) == []


@pytest.fixture(scope="module")
def table_report(tmp_path_factory):
    """The report of rows of a table."""
    folder = own_data.write(tmp_path_factory.mktemp("table"))
    tables = {
        "model": {"source": f"{folder}/credit.keras"},
        "explain": {"methods": ["gradient", "integrated_gradients"]},
    }
    data = {"source": f"{folder}/loans.csv", "label": "default", "most": 3}
    recipe = schema.recipe({"name": "table", **tables, "data": data})
    return carry_out(recipe, folder / "artifacts", Progress(quiet=True)).report


def test_plots_of_columns_are_read_by_a_screen_reader_in_the_dark_and_on_a_phone(table_report, browser):
    browser.set_script_timeout(120)
    for width, scheme in ((1200, "dark"), (390, "light")):
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        screen = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 500}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        browser.get(table_report.as_uri())
        browser.execute_script("for (const node of document.querySelectorAll('details')) node.open = true")
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        assert axe(browser) == []
        # The pictures have a page of their own colour in the dark too.
        picture = "return getComputedStyle(document.querySelector('.plots img')).backgroundColor"
        assert browser.execute_script(picture) == "rgb(255, 255, 255)"


def test_headings_are_in_order_and_pictures_say_what_they_are(report):
    text = report.read_text()
    levels = [int(level) for level in re.findall(r"<h([1-6])", text.split("<script>")[0])]
    assert levels.count(1) == 1 and levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    # The photograph under a map is shown before, with its name.
    assert all('class="under"' in image for image in re.findall(r'<img [^>]*alt=""[^>]*>', text))
    assert re.search(r'alt="Map of chelsea[^"]* by gradcam for [^"]+, strongest (at|in) the [^"]+"', text)


def test_paper_holds_what_is_folded_and_all_units(report, browser):
    browser.get(report.as_uri())
    browser.execute_script("window.dispatchEvent(new Event('beforeprint'))")
    assert browser.execute_script("return document.querySelectorAll('details:not([open])').length") == 0
    assert browser.execute_script("return document.querySelectorAll('.tile').length") == 7
    browser.execute_script("window.dispatchEvent(new Event('afterprint'))")
    assert browser.execute_script("return document.querySelectorAll('details[open]').length") == 0


def test_pictures_are_as_large_as_wanted_and_natural_images_stand_beside_them(report, browser):
    browser.get(report.as_uri())
    scroll_to_units(browser)
    count = "return document.querySelectorAll('.tile .beside img').length"
    # Two natural images beside each of five units; the classes have none.
    assert browser.execute_script(count) == 10
    wide = "const size = document.querySelector('#size'); size.value = 500; size.dispatchEvent(new Event('input'))"
    browser.execute_script(wide)
    assert browser.execute_script("return document.querySelector('.tile').clientWidth") > 480


def test_the_place_where_a_map_is_strongest_is_said_in_words():
    plane = np.zeros((9, 9))
    assert photographs.strongest_part(plane) == ""
    for (row, column), words in {(0, 8): "at the top right", (4, 4): "in the centre", (8, 4): "at the bottom"}.items():
        one = plane.copy()
        one[row, column] = -1
        assert photographs.strongest_part(one) == words


def test_names_of_methods_break_at_their_joints_and_nothing_gets_in():
    assert breakable("tf_explain.<b>") == "tf_<wbr>explain.<wbr>&lt;b&gt;"


def test_the_findings_of_the_report_are_those_of_the_documentation():
    text = (pathlib.Path(__file__).parents[2] / "docs" / "checks.md").read_text().split("## Findings")[1]
    rows = [line.strip("|").split("|") for line in text.split("\n\n")[1].splitlines()[2:]]
    assert [tuple(cell.strip() for cell in row) for row in rows] == list(FINDINGS)
    assert plain_words("CLASS-BLIND").startswith("Maps are much the same")


def test_every_finding_of_every_check_is_in_the_table():
    import sanity.verdict  # noqa: F401  (registering)
    from sanity.ruling import rules

    named = {finding for rule in rules for finding in rules.tag(rules.get(rule), "about").findings}
    listed = {finding for names, *_ in FINDINGS for finding in names.split(", ")}
    assert listed == named | {"GATE FAILED", "NOT APPLICABLE", "FAULT"}


# The summary --------------------------------------------------------------------------------------------------------------


def a_card(
    outcome, finding, *, method="gradcam", words="maps change with the weights", why="", remedy="", is_control=False
):
    named = {"outcome": outcome, "finding": finding, "method": method, "words": words}
    return {**named, "why": why, "remedy": remedy, "is_control": is_control}


def a_family(*cards, held=True, question="Responds to weights", name="0-parameters"):
    control = {"control": "edges", "outcome": "FAIL" if held else "PASS", "expected": ["FAIL"], "held": held}
    return {"id": name, "about": types.SimpleNamespace(question=question), "controls": [control], "cards": list(cards)}


def some_maps(*, correct=(True, False), flags=()):
    figure = {"method": "gradient", "flags": list(flags)}
    shown = [{"name": f"{n}.jpg", "correct": right, "figures": [figure]} for n, right in enumerate(correct)]
    rows = [("gradient", [{"rank": 1.0}]), ("gradcam", [{"rank": 0.25}, {"rank": 1.0}])]
    agreement = {"methods": ["gradient", "gradcam"], "rows": rows}
    methods = [{"method": "gradient"}, {"method": "gradcam"}]
    counts = {
        "kind": "image",
        "noun": "photograph",
        "nouns": "photographs",
        "count": len(shown),
        "right": (sum(correct), len(correct)),
    }
    return {"photographs": shown, "methods": methods, "agreement": agreement, **counts}


def a_unit(number, *, dead=False, verdicts=()):
    return {"layer": "last", "unit": number, "name": f"last {number}", "dead": dead, "verdicts": list(verdicts)}


RECIPE = schema.recipe({"name": "any", "model": {"source": "models/own.keras"}, "check": [{}]})


def parts(families=(), maps=None, units=(), recipe=RECIPE):
    """The summary as a dict of heading to one text, each sentence short enough."""
    lines = dict(summary.summarize(recipe, list(families), maps, list(units)))
    for sentence in itertools.chain(*lines.values()):
        assert len(sentence.split()) <= 25, sentence
    return {heading: " ".join(sentences) for heading, sentences in lines.items()}


def test_pass_and_fail_are_said_by_method_and_controls_are_not_methods():
    blind = a_card("FAIL", "INPUT-DOMINATED", method="edges", is_control=True)
    passing = [a_card("PASS", "RESPONDED", method=name) for name in ("gradcam", "gradient")]
    failing = a_card("FAIL", "DID NOT RESPOND", method="lrp", words="")
    said = parts([a_family(failing, *passing, blind)])
    assert said["What can be said"] == (
        "PASS for gradcam and gradient: maps change with the weights. "
        "FAIL for lrp: maps are much the same whatever the weights, labels or class."
    )
    assert "edges" not in said["What was looked at"] and "lrp" in said["What was looked at"]


def test_a_card_of_an_open_verdict_without_a_remedy_says_why_it_is_open():
    """Where one effect alone is known an interval may leave a single answer, and be undecided all the same."""
    about = rules.tag(rules.get("class_crossing"), "about")
    why = "by removal it is below 0.05 of the network's own answer; by the other effect the network's own answer does not pass"
    verdict = {"finding": "UNDECIDED", "outcome": "INCONCLUSIVE", "why": why, "remedy": ""}
    assert "".join(cards._plain_sentences(about, verdict)).lower() == f"{why}.".lower()
    remedy = "About 90 images in place of 24 would settle it."
    plain = cards._plain_sentences(about, {**verdict, "remedy": remedy})
    assert plain == ["The interval allows several answers.", remedy]


def test_what_is_open_is_said_with_its_reason_and_what_would_settle_it():
    why = "trained with untrained is below 0.5. Fewer than 8 images allow no more"
    first = a_card("INCONCLUSIVE", "RESPONDED", why=why, remedy="Give at least 8 images.")
    second = a_card("INCONCLUSIVE", "RESPONDED", method="gradient", remedy="Train replicates: one is too few.")
    said = parts([a_family(first, {**first, "method": "lrp"}, second)])
    assert "No check of this run came to PASS or FAIL." in said["What can be said"]
    assert "INCONCLUSIVE for gradcam, lrp and gradient: so far, maps change" in said["What cannot be said"]
    assert "The reason: fewer than 8 images allow no more." in said["What cannot be said"]
    look = said["Where to look next"]
    assert "Train replicates: one is too few (gradient)." in look
    assert "Give at least 8 images (gradcam and lrp)." in look


def test_a_check_that_is_run_in_two_ways_is_said_once():
    card = a_card("FAIL", "INPUT-DOMINATED", words="")
    said = parts([a_family(card), a_family(card, name="1-parameters")])
    assert said["What can be said"].count("FAIL for gradcam") == 1
    assert said["What was looked at"].count("Responds to weights") == 1 and "2 checks" in said["What was looked at"]


def test_a_question_that_could_not_be_asked_is_said_so():
    why = "gate failed: maps usable (100% of maps not finite, all zero or constant)"
    said = parts([a_family(a_card("INVALID", "GATE FAILED", words="", why=why))])
    assert "INVALID for gradcam: “Responds to weights” could not be answered." in said["What cannot be said"]
    assert "maps usable" in said["What cannot be said"]
    why = "gate failed: permuted labels memorized (permuted labels remembered: 40% at the least; needed: 95%)"
    said = parts([a_family(a_card("INVALID", "GATE FAILED", words="", why=why))])
    assert f"The reason: {why}." in said["What cannot be said"]


def test_nothing_is_said_by_a_broken_check():
    said = parts([a_family(a_card("PASS", "RESPONDED"), held=False)])
    assert "PASS for" not in said["What can be said"]
    assert "is broken: its control edges came out PASS" in said["What cannot be said"]


def test_photographs_and_units_that_deserve_a_look_are_named():
    verdicts = [["path", "FAIL", "ANOTHER PATH", "why"]]
    said = parts((), some_maps(flags=["all zero"]), [a_unit(0), a_unit(3, dead=True), a_unit(5, verdicts=verdicts)])
    assert "own.keras was asked about 2 photographs." in said["What was looked at"]
    assert "right about 1 of 2" in said["What was looked at"] and "3 units" in said["What was looked at"]
    assert "No method was checked" in said["What cannot be said"]
    look = said["Where to look next"]
    assert (
        "wrong: 1.jpg" in look and "marked in red, by gradient" in look and "No natural image activates unit 3" in look
    )
    assert "Compare gradcam with gradient" in look and "0.25" in look and "pictures of unit 5" in look


def test_what_checks_say_of_pictures_is_said():
    recipe = schema.recipe({"name": "any", "features": [{"layer": "last", "units": "0-5"}]})
    families = [
        a_family(a_card("FAIL", "ANOTHER PATH", method="fourier", words="pictures take another path"), question="Path"),
        a_family(a_card("INVALID", "NOT APPLICABLE", method="fourier", words="", why="none"), question="Transfer"),
    ]
    said = parts([{**family, "claim": "pictures"} for family in families], None, [a_unit(0)], recipe)
    assert "FAIL for fourier: pictures take another path." in said["What can be said"]
    assert "“Transfer” could not be answered" in said["What cannot be said"]
    assert (
        "a map is right" not in said["What cannot be said"] and "A picture shows one way" in said["What cannot be said"]
    )
    assert "Where to look next" not in said and "[[features]]" in parts((), None, [a_unit(0)])["Where to look next"]


def test_sentences_stay_short_however_much_there_is_to_say():
    names = [f"a_method_with_a_long_name_{number}" for number in range(30)]
    words = "maps " + "that are described by very many words " * 6
    said = parts([a_family(*(a_card("PASS", "RESPONDED", method=name, words=words) for name in names))])
    assert "and 27 more" in said["What can be said"]


def test_a_title_says_question_model_and_data():
    assert summary.title(RECIPE) == "Which maps can be believed? own.keras on photographs"
    explained = schema.recipe({"name": "any", "images": {"photographs": ["chelsea"]}, "explain": {}})
    assert summary.title(explained) == "What decides the answers? efficientnet-lite0 on 1 photograph"
    assert summary.title(schema.recipe({"name": "any", "title": "Mine", "explain": {}})) == "Mine"


def test_no_sentence_of_the_page_promises_too_much():
    folder = pathlib.Path(figures.__file__).parent
    texts = [
        path.read_text().lower() for path in (*folder.glob("*.html"), folder / "summary.py", folder / "findings.py")
    ]
    for word in ("faithful", "trustworthy", "proves"):
        assert not any(word in text for text in texts), word


def test_signed_maps_diverge_from_zero_and_others_start_there():
    import matplotlib
    import numpy as np

    image, top, signed = figures.colour_map(np.array([[-2.0, 0.0], [1.0, 2.0]]))
    middle = np.round(255 * np.array(matplotlib.colormaps[figures.SIGNED](0.5)[:3]))
    assert signed and top == pytest.approx(2, rel=0.02) and np.abs(image[0, 1] - middle).max() <= 2
    image, _, signed = figures.colour_map(np.array([[0.0, 1.0]]))
    assert not signed and image[0, 0].sum() < 20


def test_a_crossing_is_drawn_by_the_effect_that_its_verdict_names():
    """Both effects have the same crossing, so that nothing but the name tells them apart."""
    samples = {"maps/removal": np.full((2, 2, 8), 0.25), "maps/small change": np.full((2, 2, 8), 0.75)}
    evidence = Evidence("class_crossing", "any", "net", {"images": 8}, samples, ())
    assert "map A, effects B: 0.750" in cards.crossing_plot(evidence, {"also": {"effect": "small change"}})
    assert "map A, effects B: 0.250" in cards.crossing_plot(evidence, {"also": {"effect": "removal"}})
    assert cards.crossing_plot(evidence, {"also": {}}) == ""


def test_a_network_whose_maps_have_holes_is_left_out_of_the_plot():
    rank = np.random.default_rng(0).random((8, 2, 5))
    rank[2] = np.nan
    drawn = cards.crossing_plot(Evidence("truth", "any", "net", {}, {"rank": rank}, ()), {"also": {}})
    means = rank[[0, 1, 3], 0].mean(axis=1)
    assert "nan" not in drawn and f"{means.mean():.3f} [{means.min():.3f}, {means.max():.3f}]" in drawn
    numbers = np.where(np.eye(2)[..., None] > 0, np.nan, rank[:2])
    drawn = cards.crossing_plot(
        Evidence("class_crossing", "any", "net", {}, {"maps/removal": numbers}, ()), {"also": {"effect": "removal"}}
    )
    assert "nan" not in drawn and "map A, effects B" in drawn
