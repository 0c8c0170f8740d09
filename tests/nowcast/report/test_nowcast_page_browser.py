"""The page of a nowcast in a real browser: from disk, without a network, by mouse and by keyboard."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from PIL import Image

from nowcast.report.nowcast_page import write_page
from nowcast.report.scales import AMOUNT_COLOURS, GROUND, MISSING, amount_scale
from pipelines.store.geo import projection
from pipelines.store.schema import open_store
from pipelines.store.units import COUNTS

READY = "() => document.getElementById('onsets').textContent.length > 0"
PICTURE = "() => document.getElementById('picture').toDataURL()"
PIN = "() => [document.getElementById('pin').style.left, document.getElementById('pin').style.top].map(parseFloat)"


@pytest.fixture(scope="module")
def written(forecast, small_store, tmp_path_factory) -> Path:
    """The first case, of which three of five lead times are observed."""
    store = open_store(small_store).isel(frame=slice(0, 13))
    return write_page(forecast, tmp_path_factory.mktemp("page") / "nowcast.html", store=store, case=0)


@pytest.fixture
def opened(browser) -> Iterator:
    """Opens a page, which must neither complain nor ask the network for anything."""
    page, said, asked = browser.new_page(), [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))

    def open_page(path: Path):
        page.goto(path.as_uri())
        page.wait_for_function(READY)
        return page

    yield open_page
    assert said == []
    assert len([url for url in asked if not url.startswith("data:")]) == 1
    page.close()


@pytest.fixture
def page(opened, written):
    return opened(written)


def colours(page) -> np.ndarray:
    """The map's pixels as #rrggbb, row 0 in the north."""
    png = base64.b64decode(page.evaluate(PICTURE).removeprefix("data:image/png;base64,"))
    dots = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).reshape(-1, 3)
    return np.array([f"#{bytes(dot.tolist()).hex()}" for dot in dots]).reshape(16, 16)


def expected(counts: np.ndarray) -> np.ndarray:
    """The colours of counts without missing pixels, row 0 in the south."""
    levels = amount_scale(COUNTS).levels
    return np.array([GROUND, *AMOUNT_COLOURS])[np.digitize(np.rint(counts), levels) - 1][::-1]


def at(page, words: str) -> None:
    """Wait until the map shows what the words say."""
    page.wait_for_function("words => picture.ariaLabel.includes(words)", arg=words)


def rows(page, part: str) -> list[list[str]]:
    return page.evaluate(
        "id => [...document.querySelectorAll(`#${id} tbody tr`)].map(row => [...row.cells].map(c => c.textContent))",
        part,
    )


def test_the_mean_of_the_first_lead_time_is_shown_north_up(page, forecast):
    at(page, "Mean, 23:50 UTC, +5 min")
    shown, mean = colours(page), forecast["vil"].values[0, :, 0].mean(axis=0)
    known = np.isfinite(mean)[::-1]
    assert (shown[known] == expected(np.nan_to_num(mean))[known]).all()
    assert not known[-2:, :2].any() and set(shown[~known]) <= {MISSING, GROUND} and known.sum() == 252


def test_time_moves_by_keyboard_through_the_past_and_the_lead_times(page):
    page.focus("#frame")
    page.keyboard.press("ArrowRight")
    at(page, "Mean, 23:55 UTC, +10 min")
    page.keyboard.press("End")
    at(page, "+25 min")
    page.keyboard.press("Home")
    at(page, "observed, 23:25 UTC, -20 min")
    assert page.get_attribute("#frame", "aria-valuetext") == page.text_content("#time")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("ArrowRight")
    at(page, "-15 min")


def test_what_was_observed_is_shown_as_far_as_it_is_known(page, small_store):
    page.check("[value=observed]", force=True)
    at(page, "observed, 23:50 UTC")
    truth = open_store(small_store)["vil"].values[4, 10]
    known = np.isfinite(truth)[::-1]
    assert (colours(page)[known] == expected(np.nan_to_num(truth))[known]).all()
    assert not page.is_visible("#later")
    page.focus("#frame")
    page.keyboard.press("End")
    at(page, "observed, 00:10 UTC")
    assert page.is_visible("#later")


@pytest.mark.parametrize(
    ("layer", "words"),
    [("median", "Median"), ("q90", "90th percentile"), ("p1", "P(≥ 74 counts)"), ("member", "member 0")],
)
def test_layers_are_chosen_by_keyboard(page, layer, words):
    at(page, "Mean")
    before = page.evaluate(PICTURE)
    page.focus(f"[value={layer}]")
    page.keyboard.press("Space")
    at(page, f"{words}, 23:50")
    assert page.evaluate(PICTURE) != before
    assert page.is_visible(".legends .chance") == (layer == "p1") != page.is_visible(".legends .amount")


def test_choosing_a_member_shows_it(page, forecast):
    page.select_option("#member", index=2)
    at(page, "member 2")
    member = forecast["vil"].values[0, 2, 0]
    known = np.isfinite(member)[::-1]
    assert (colours(page)[known] == expected(np.nan_to_num(member))[known]).all()


def played(page, *milliseconds: int) -> list[str]:
    """The number of the frame after each of some durations."""
    frames = []
    for duration in milliseconds:
        page.clock.run_for(duration)
        frames.append(page.input_value("#frame"))
    return frames


def test_play_runs_and_stops(page, stopped_clock):
    stopped_clock(page)
    page.click("#play")
    assert played(page, 399, 1, 400, 4000) == ["5", "6", "7", "7"]  # after ten frames it is there again
    page.keyboard.press("Space")
    assert page.text_content("#play") == "Play"
    assert played(page, 5000) == ["7"]


def test_reduced_motion_plays_slowly(page, stopped_clock):
    page.emulate_media(reduced_motion="reduce")
    stopped_clock(page)
    page.click("#play")
    assert played(page, 1499, 1, 1500) == ["5", "6", "7"]


def click(page, row: int, column: int) -> None:
    """Click the middle of a pixel, row 0 in the south."""
    page.evaluate("document.getElementById('onsets').replaceChildren()")
    box = page.locator("#picture").bounding_box()
    x = box["x"] + box["width"] * (column + 0.5) / 16
    page.mouse.click(x, box["y"] + box["height"] * (15.5 - row) / 16)
    page.wait_for_function(READY)


def test_a_click_shows_the_numbers_of_that_pixel(page, forecast):
    row, column = 5, 11
    click(page, row, column)
    members = forecast["vil"].values[0, :, :, row, column]
    shown = [line[2:] for line in rows(page, "numbers")]
    low, middle, high = (np.quantile(members, level, axis=0) for level in (0.1, 0.5, 0.9))
    assert len(shown) == 5
    for lead, line in enumerate(shown):
        for text, value in zip((line[1], line[3], line[5]), (low, middle, high), strict=True):
            assert float(text) == np.rint(value[lead])
        assert line[6:] == [f"{np.rint(100 * (members[:, lead] >= t).mean()):.0f} %" for t in (16, 74, 133)]
    reached = (members >= 74).any(axis=1)
    assert rows(page, "onsets")[1][:2] == ["≥ 74 counts", f"{np.rint(100 * reached.mean()):.0f} %"]
    assert page.locator("#plume figure > svg path.one").count() == 3 and page.locator("#plume .band").count() > 0


def test_the_value_under_the_pointer_is_said(page, forecast):
    at(page, "Mean")
    box = page.locator("#picture").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 11.5 / 16, box["y"] + box["height"] * 10.5 / 16)
    mean = float(np.rint(forecast["vil"].values[0, :, 0, 5, 11].mean()))
    assert page.text_content("#under").startswith(f"{float(f'{mean:.2g}'):g} counts at ")
    page.mouse.move(0, 0)
    assert not page.is_visible("#under")


@pytest.mark.parametrize("layer", ["mean", "p1", "member"])
def test_missing_pixels_are_striped(opened, forecast, tmp_path, layer):
    """Stripes of four pixels by the sum of row and column from the north-west corner, in every layer."""
    blind = forecast.isel(case=[0]).copy(deep=True)
    blind["vil"].values[..., :9] = np.nan
    page = opened(write_page(blind, tmp_path / "page.html"))
    page.check(f"[value={layer}]", force=True)
    at(page, {"mean": "Mean", "p1": "P(≥ 74 counts)", "member": "member 0"}[layer])
    shown = colours(page)
    row, column = np.indices((16, 16))
    striped = np.where((row + column) // 4 % 2 == 1, MISSING, GROUND)
    assert MISSING != GROUND and (shown[:, :9] == striped[:, :9]).all()
    assert MISSING not in shown[:, 9:]


def test_a_click_on_a_chart_sets_the_time(page):
    chart = page.locator("#chances figure > svg")
    chart.click(position={"x": chart.bounding_box()["width"] * 0.97, "y": 20})
    at(page, "+25 min")
    assert page.text_content("#chances .said").startswith("00:10 UTC: ≥ 16: ")


def test_a_place_never_seen_has_no_forecast(page):
    click(page, 0, 0)
    assert "did not see this place" in page.text_content("#summary")
    assert {cell for line in rows(page, "onsets") for cell in line[1:3]} == {"–"}
    assert {cell for line in rows(page, "numbers") for cell in line[2:]} == {"–"}
    assert page.text_content("#chances .said").count(": –") == 3


def test_onset_of_a_known_pixel(opened, forecast, tmp_path):
    """Two of three members reach 74 counts, at 00:00 and at 00:05; the wettest pixel is shown first."""
    known = forecast.isel(case=[0]).copy(deep=True)
    known["vil"].values[:] = 0
    known["vil"].values[0, 0, 2:, 8, 8] = 80
    known["vil"].values[0, 1, 3, 8, 8] = 90
    page = opened(write_page(known, tmp_path / "page.html", thresholds=[74, 200]))
    assert rows(page, "onsets") == [
        ["≥ 74 counts", "67 %", "00:00", "00:00 to 00:05"],
        ["≥ 200 counts", "0 %", "–", ""],
    ]
    assert page.text_content("#summary") == (
        "≥ 74 counts within 25 minutes: 67 %, begins most likely about 00:00 UTC (10 to 90 %: 00:00 to 00:05)."
    )


def test_all_none_and_the_first_lead_time_in_the_sentence(opened, forecast, tmp_path):
    known = forecast.isel(case=[0]).copy(deep=True)
    known["vil"].values[:] = 0
    known["vil"].values[0, :, 0, 8, 8] = 80
    page = opened(write_page(known, tmp_path / "page.html", thresholds=["2.5mm/h"]))
    assert page.text_content("#summary") == (
        "≥ 2.5 mm h⁻¹ (72.1 counts) within 25 minutes: all of 3 members, from the first lead time on, 23:50 UTC."
    )
    click(page, 5, 11)
    assert page.text_content("#summary") == (
        "Within 25 minutes, ≥ 2.5 mm h⁻¹ (72.1 counts) is unlikely (none of 3 members)."
    )


def of_one_rain(forecast, small_store):
    """A forecast of rain at one pixel and lead time in all members, and the store of its event."""
    known, store = forecast.isel(case=[0]).copy(deep=True), open_store(small_store).isel(event=[4]).load()
    known["vil"].values[:] = 0
    known["vil"].values[0, :, 2, 8, 8] = 80
    return known, store


def test_what_is_observed_at_the_init_time_is_said(opened, forecast, small_store, tmp_path):
    known, store = of_one_rain(forecast, small_store)
    store["vil"].values[:, 9, 8, 8:10] = 90
    page = opened(write_page(known, tmp_path / "page.html", thresholds=[74], store=store))
    assert page.text_content("#summary") == (
        "≥ 74 counts within 25 minutes: all of 3 members, observed already, again most likely about 00:00 UTC."
    )
    click(page, 8, 9)
    assert page.text_content("#summary") == (
        "Within 25 minutes, ≥ 74 counts is unlikely (none of 3 members), though observed already."
    )


def test_what_was_observed_before_the_init_time_is_not_there_already(opened, forecast, small_store, tmp_path):
    known, store = of_one_rain(forecast, small_store)
    older = store.isel(frame=slice(0, 9)).assign(vil=store["vil"].isel(frame=slice(0, 9)) * 0 + 90)
    page = opened(write_page(known, tmp_path / "older.html", thresholds=[74], store=older))
    assert page.text_content("#summary").endswith("all of 3 members, begins most likely about 00:00 UTC.")


def test_the_place_moves_by_keyboard_and_a_click_hits_it_when_zoomed(page):
    click(page, 5, 11)
    page.focus("#map")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowLeft")
    assert np.allclose(page.evaluate(PIN), [100 * 10.5 / 16, 100 * 9.5 / 16])
    page.keyboard.press("+")
    page.wait_for_function("() => document.getElementById('picture').getBoundingClientRect().width > 700")
    click(page, 7, 9)
    assert np.allclose(page.evaluate(PIN), [100 * 9.5 / 16, 100 * 8.5 / 16])
    page.keyboard.press("-")
    page.keyboard.press("Shift+ArrowLeft")
    assert np.allclose(page.evaluate(PIN), [100 * 0.5 / 16, 100 * 8.5 / 16])


def test_a_latitude_and_longitude_finds_its_pixel(page, forecast):
    """The middle of the pixel in row 3, column 12, of pixels of 3 km from the corner of event 4."""
    one = forecast.isel(case=0)
    x, y = (float(one[f"corner_{axis}"]) + 3000 * (number + 0.5) for axis, number in (("x", 12), ("y", 3)))
    longitude, latitude = projection(str(one["proj"].values))(x, y, inverse=True)
    page.fill("#wanted", f"{latitude:.5f}, {longitude:.5f}")
    page.keyboard.press("Enter")
    assert np.allclose(page.evaluate(PIN), [100 * 12.5 / 16, 100 * 12.5 / 16])
    page.wait_for_function(
        "text => document.getElementById('where').textContent.includes(text)", arg=f"{latitude:.3f}° N"
    )
    shown = page.text_content("#where")  # as the page itself writes it, in degrees west
    page.fill("#wanted", shown)
    click(page, 0, 15)
    page.focus("#wanted")
    page.keyboard.press("Enter")
    page.wait_for_function("text => document.getElementById('where').textContent === text", arg=shown)
    assert shown.endswith("W") and np.allclose(page.evaluate(PIN), [100 * 12.5 / 16, 100 * 12.5 / 16])
    for wrong, said in (("10, 10", "outside of the map"), ("here", "two numbers in degrees")):
        page.fill("#wanted", wrong)
        page.keyboard.press("Enter")
        assert said in page.text_content("#refusal")


def test_no_other_script_runs_even_where_one_came_in(browser, forecast, tmp_path):
    path = write_page(forecast, tmp_path / "page.html", case=1)
    text, added = (
        path.read_text(encoding="utf-8"),
        "<script>window.ran = 1</script><img src=x onerror='window.ran = 2'>",
    )
    page = browser.new_page()
    for policy, ran in (("Content-Security-Policy", None), ("X-Nothing", 2)):
        path.write_text(text.replace("Content-Security-Policy", policy).replace("</body>", f"{added}</body>"))
        page.goto(path.as_uri())
        page.wait_for_function(READY)
        assert page.evaluate("window.ran ?? null") == ran
    page.close()


def test_names_of_files_are_text(opened, forecast, tmp_path, hostile):
    page = opened(write_page(forecast, tmp_path / "page.html", case=1))
    assert hostile in page.text_content("header p")


def test_the_members_that_are_held_can_be_chosen_and_the_numbers_are_of_all(opened, forecast, tmp_path, monkeypatch):
    monkeypatch.setattr("nowcast.report.layers._MEMBER_BYTES", 1)
    page = opened(write_page(forecast, tmp_path / "page.html", case=0))
    assert page.locator("#member option").all_text_contents() == ["0"]
    click(page, 5, 11)
    members = forecast["vil"].values[0, :, :, 5, 11]
    medians = [f"{np.rint(each):g}" for each in np.median(members, axis=0)]
    assert [
        line[4] for line in rows(page, "numbers")
    ] == medians  # after the time, the mean, and the 10th and 25th percentile
    page.check("[value=member]", force=True)
    at(page, "member 0, 23:50")


def test_a_single_field_without_a_place(opened, forecast, tmp_path):
    single = forecast.isel(member=[1], case=[0]).drop_vars(["proj", "corner_x", "corner_y", "crs"], errors="ignore")
    page = opened(write_page(single, tmp_path / "page.html"))
    at(page, "forecast, 23:50 UTC")
    click(page, 5, 11)
    assert page.text_content("#where") == "Pixel: row 5 from the south, column 11"
    assert page.locator("#go").count() == 0 and page.locator("#plume figure > svg path.median").count() == 1
    reached = (single["vil"].values[0, 0, :, 5, 11] >= 16).any()
    assert rows(page, "onsets")[0][1] == ("yes" if reached else "no")
    assert rows(page, "onsets")[2][1] == ("yes" if (single["vil"].values[0, 0, :, 5, 11] >= 133).any() else "no")


def test_what_advection_does_not_reach_is_hatched(opened, forecast, tmp_path):
    reached = xr.ones_like(forecast["vil"].isel(member=0, drop=True), bool).copy()
    reached[..., 8:] = False  # the eastern half
    page = opened(write_page(forecast.assign(reached=reached), tmp_path / "page.html", case=0))
    at(page, "Mean")
    before = colours(page)
    page.check("#hatch")
    at(page, "hatched where advection does not reach")
    changed = colours(page) != before
    assert changed[:, 8:].any() and not changed[:, :8].any()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_readable_at_the_width_of_a_phone(page, scheme, on_a_phone):
    on_a_phone(page, scheme)
    assert page.locator("#map").bounding_box()["width"] > 330
