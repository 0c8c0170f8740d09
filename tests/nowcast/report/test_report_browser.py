"""The report's page in a real browser: it loads from disk without a network, its controls work from the keyboard."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from nowcast.plots.panels import MISSING_COLOUR
from nowcast.report import write_report
from nowcast.verification import scores_of, states
from pipelines.store.schema import open_store

PICTURE = "name => document.getElementById(`${name}-picture`).toDataURL()"


@pytest.fixture(scope="module")
def report(small_store, tmp_path_factory) -> Path:
    """Two cases of an ensemble whose members drift apart with lead time, beside a deterministic forecast."""
    store = open_store(small_store)
    observed = store["vil"].values[4:6, 10:15]
    drift = np.linspace(-60, 60, 3)[:, None, None, None] * np.linspace(0.2, 1, 5)[:, None, None]
    coords = {
        "event": ("case", ["E4", "E5"]),
        "init_time": ("case", store["valid_time"].values[4:6, 9]),
        "lead_time": np.arange(1, 6) * np.timedelta64(300, "s"),
    }
    dims = ("case", "member", "lead_time", "y", "x")
    ensemble, single = (
        xr.Dataset({"vil": (dims, np.clip(observed[:, None] + change, 0, 254))}, coords, {"model": model})
        for model, change in (("ensemble", drift), ("single", np.full((1, 1, 1, 1), 30.0)))
    )
    sums = states(ensemble, store, reference=single)
    folder = tmp_path_factory.mktemp("browser")
    return write_report(folder, sums, scores_of(sums, samples=0), forecast=ensemble, store=store, reference=single)


@pytest.fixture
def page(browser, report) -> Iterator:
    """The page, opened from disk; it must neither complain nor ask the network for anything."""
    page, said, asked = browser.new_page(), [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report.as_uri())
    page.wait_for_function("() => document.getElementById('spread-picture').getAttribute('aria-label').includes('UTC')")
    yield page
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [report.as_uri()]
    page.close()


SETTLED = """() => [...document.querySelectorAll("canvas")].filter(canvas => !canvas.closest("[hidden]"))
    .every(canvas => canvas.ariaLabel?.includes(document.getElementById("time").textContent))"""


def changes(page, name: str, action) -> bool:
    """Whether a picture is another one after the action; a change is waited for, since pictures are decoded first."""
    page.wait_for_function(SETTLED)  # or what an earlier action still draws would be taken for this one's
    before = page.evaluate(PICTURE, name)
    action()
    try:
        page.wait_for_function(f"before => ({PICTURE})('{name}') !== before", arg=before, timeout=4000)
    except Exception as error:
        assert type(error).__name__ == "TimeoutError"
        return False
    return True


def test_the_slider_moves_every_picture_by_keyboard(page):
    page.focus("#lead")
    assert "23:50 UTC, +5 min" in page.text_content("#time")
    for name in ("observed", "mean", "member", "probability", "spread"):
        assert changes(page, name, lambda: page.keyboard.press("ArrowRight")), name
        page.keyboard.press("ArrowLeft")
    page.keyboard.press("End")
    assert "00:10 UTC, +25 min" in page.text_content("#time")
    assert page.get_attribute("#lead", "aria-valuetext") == page.text_content("#time")
    page.wait_for_function("() => document.getElementById('member-picture').ariaLabel.includes('+25 min')")


def test_the_pickers_change_what_they_say(page):
    page.focus("#member")
    assert changes(page, "member", lambda: page.keyboard.press("ArrowDown"))
    assert page.text_content("#member-frame figcaption") == "ensemble, member 1"
    assert changes(page, "probability", lambda: page.select_option("#threshold", index=4))
    assert "≥ 181 counts" in page.text_content("#probability-frame figcaption")
    assert changes(page, "observed", lambda: page.select_option("#case", index=1))
    assert not changes(page, "observed", lambda: page.select_option("#member", index=2))


def test_a_deterministic_model_has_one_picture(page):
    assert changes(page, "member", lambda: page.select_option("#model", label="single"))
    assert [page.is_visible(f"#{name}-frame") for name in ("observed", "mean", "member", "probability", "spread")] == [
        True, False, True, False, False]  # fmt: skip
    assert not page.is_visible("#member") and not page.is_visible("#threshold")
    page.select_option("#model", label="ensemble")
    assert page.is_visible("#mean-frame") and page.is_visible("#member")


def test_play_runs_through_the_lead_times(page, stopped_clock):
    stopped_clock(page)
    page.click("#play")
    for duration, lead in ((499, "0"), (1, "1"), (1000, "3"), (1000, "0")):
        page.clock.run_for(duration)
        assert page.input_value("#lead") == lead
    page.click("#play")
    assert page.text_content("#play") == "Play"
    page.clock.run_for(5000)
    assert page.input_value("#lead") == "0"


def test_north_is_up(page):
    """The missing corner of the store, two pixels a side, is in the south-west: its colour is at the bottom left."""
    column = page.evaluate("""() => {
        const canvas = document.getElementById("observed-picture");
        return [...canvas.getContext("2d").getImageData(0, 0, 1, canvas.height).data];
    }""")
    colour = [*bytes.fromhex(MISSING_COLOUR.removeprefix("#")), 255]
    missing = [pixel == colour for pixel in np.reshape(column, (-1, 4)).tolist()]
    assert missing == [False] * 14 + [True] * 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_readable_at_the_width_of_a_phone(page, scheme, on_a_phone):
    on_a_phone(page, scheme)
    assert page.evaluate("Math.min(...[...document.querySelectorAll('.chart > svg')].map(s => s.clientWidth))") > 280
