"""The report in a real browser: it opens from disk, offline, without a word of complaint, and its controls work."""

import json
import os
import pathlib
import shutil

import numpy as np
import pytest

from recipes import schema
from recipes.progress import Progress
from recipes.report import figures, page
from recipes.runs import carry_out
from sanity.evidence import Evidence

BROWSER = next((name for name in ("chromium", "chromium-browser", "google-chrome") if shutil.which(name)), None)


@pytest.fixture
def report(quick, tmp_path):
    return carry_out(
        schema.read(quick, ["title=<script>alert(1)</script>"]), tmp_path / "artifacts", Progress(quiet=True)
    ).report


@pytest.fixture
def browser(tmp_path):
    if BROWSER is None or not shutil.which("chromedriver"):
        if os.environ.get("LAB_REQUIRE_BROWSER"):
            pytest.fail("LAB_REQUIRE_BROWSER is set and there is no Chromium with chromedriver")
        pytest.skip("no Chromium with chromedriver here")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which(BROWSER)
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--window-size=1200,900",
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    yield driver
    driver.quit()


def test_the_page_holds_everything_and_escapes_what_came_from_outside(report):
    page = report.read_text()
    assert "<script>alert(1)" not in page and "&lt;script&gt;alert(1)" in page
    units = json.loads(page.split('id="units">')[1].split("</script>")[0])
    assert len(units) == 7 and {unit["layer"] for unit in units} == {"last", "logits"}
    assert page.count('class="over"') == 15 and page.count("<article") == 8
    assert "http://" not in page.replace("http://www.w3.org", "") and "https://" not in page


def test_the_page_works_offline_in_a_browser(report, browser):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    browser.get("about:blank")
    browser.get_log("performance")  # what the browser asked for on its own, before the page
    browser.get(report.as_uri())
    find = lambda selector: browser.find_element(By.CSS_SELECTOR, selector)  # noqa: E731
    tiles = lambda: browser.find_elements(By.CSS_SELECTOR, ".tile")  # noqa: E731
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
    assert before == "0.75" and over.value_of_css_property("opacity") == "0"
    complaints = [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
    sent = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [entry["params"]["request"]["url"] for entry in sent if entry["method"] == "Network.requestWillBeSent"]
    assert complaints == [] and [url for url in urls if not url.startswith(("file:", "data:"))] == []


def test_no_sentence_of_the_page_promises_too_much():
    template = (pathlib.Path(figures.__file__).parent / "page.html").read_text().lower()
    for word in ("faithful", "trustworthy", "proves"):
        assert word not in template


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
    assert "map A, effects B: 0.750" in page._crossing(evidence, {"also": {"effect": "small change"}})
    assert "map A, effects B: 0.250" in page._crossing(evidence, {"also": {"effect": "removal"}})
    assert page._crossing(evidence, {"also": {}}) == ""


def test_a_network_whose_maps_have_holes_is_left_out_of_the_plot():
    rank = np.random.default_rng(0).random((8, 2, 5))
    rank[2] = np.nan
    drawn = page._crossing(Evidence("truth", "any", "net", {}, {"rank": rank}, ()), {"also": {}})
    means = rank[[0, 1, 3], 0].mean(axis=1)
    assert "nan" not in drawn and f"{means.mean():.3f} [{means.min():.3f}, {means.max():.3f}]" in drawn
    numbers = np.where(np.eye(2)[..., None] > 0, np.nan, rank[:2])
    drawn = page._crossing(
        Evidence("class_crossing", "any", "net", {}, {"maps/removal": numbers}, ()), {"also": {"effect": "removal"}}
    )
    assert "nan" not in drawn and "map A, effects B" in drawn
