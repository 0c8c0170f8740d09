"""The report's page as a file: whole, alone, escaped, accessible in its structure, with the numbers of the scores."""

import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from nowcast.cli.app import app
from nowcast.report import check_target, write_report
from nowcast.verification import scores_of, states
from nowcast.verification.headline import number
from pipelines.errors import InputError
from pipelines.store.schema import open_store


class Page(HTMLParser):
    """Start tags with attributes and the text within, in order; fails on an element that is not closed."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.text: dict[str, list[str]] = {}
        self.open: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "link", "input"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        for tag in self.open[-1:]:
            self.text.setdefault(tag, []).append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


def write_forecast(store: xr.Dataset, path: Path, change: np.ndarray, **attrs: object) -> Path:
    """Members that are off by `change` (member,), of two cases, as plain xarray makes a file."""
    counts = store["vil"].values[4:6, 10:20][:, None] + change[:, None, None, None]
    xr.Dataset(
        {"vil": (("case", "member", "lead_time", "y", "x"), np.clip(counts, 0, 254))},
        {
            "event": ("case", ["E4", "E5"]),
            "init_time": ("case", store["valid_time"].values[4:6, 9]),
            "lead_time": np.arange(1, 11) * np.timedelta64(300, "s"),
        },
        attrs,
    ).to_netcdf(path)
    return path


@pytest.fixture(scope="module")
def inputs(small_store, tmp_path_factory, hostile) -> dict:
    """Three models: an ensemble, a deterministic one, and an ensemble of another size with a hostile name."""
    folder, store = tmp_path_factory.mktemp("report"), open_store(small_store)
    noise = np.array([-30.0, -10.0, 0.0, 10.0, 40.0, 5.0])
    first = write_forecast(
        store, folder / "first.nc", noise, model="alpha", checkpoint_sha256="0ddba11", config='{"a": 1}'
    )
    second = write_forecast(store, folder / "second.nc", np.array([50.0]), model="beta")
    third = write_forecast(store, folder / "third.nc", np.array([20.0, 90.0]), model=hostile, config=hostile)
    return {"forecast": first, "store": small_store, "reference": (second, third)}


@pytest.fixture(scope="module")
def verified(inputs, tmp_path_factory) -> tuple[Path, xr.Dataset]:
    """The page and the scores that the command line writes."""
    folder = tmp_path_factory.mktemp("page")
    references = [word for path in inputs["reference"] for word in ("--reference", path)]
    words = [
        "verify",
        inputs["forecast"],
        inputs["store"],
        *references,
        "--out",
        folder / "s.nc",
        "--report",
        folder / "r",
    ]
    result = CliRunner().invoke(app, list(map(str, words)), catch_exceptions=False)
    assert result.exit_code == 0 and "index.html" in result.output.replace("\n", "")
    with xr.open_dataset(folder / "s.nc", decode_timedelta=True) as scores:
        return folder / "r" / "index.html", scores.load()


@pytest.fixture(scope="module")
def text(verified) -> str:
    return verified[0].read_text(encoding="utf-8")


def test_one_file_that_refers_to_nothing_outside_it(verified, text):
    assert [path.name for path in verified[0].parent.iterdir()] == ["index.html"]
    page = Page(text)
    addresses = [value for _, attrs in page.tags for name, value in attrs.items() if name in {"src", "href"}]
    assert addresses and all(address.startswith(("#", "data:")) for address in addresses)
    assert not re.search(r"https?://|@import|url\(", text)
    assert "default-src 'none'" in page.all("meta")[1]["content"]


def test_the_page_runs_its_own_script_and_loads_nothing(text, check_policy):
    check_policy(text)


def test_calibration_of_an_ensemble_is_drawn(text):
    assert "Reliability, ≥ 16 counts" in text and "Rank histogram" in text


def test_intervals_of_two_events_are_not_to_be_trusted(text):
    assert "Only 2 events" in text and "do not trust the interval" in text


def test_links_lead_to_sections(text):
    page = Page(text)
    identifiers = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(identifiers) == len(set(identifiers))
    targets = [attrs["href"] for attrs in page.all("a")] + ["#" + attrs["for"] for attrs in page.all("label")]
    assert {target.removeprefix("#") for target in targets} <= set(identifiers)


def test_pictures_tables_and_controls_say_what_they_are(text):
    page = Page(text)
    assert page.all("html") == [{"lang": "en"}] and len(page.all("h1")) == len(page.all("main")) == 1
    for attrs in (*page.all("svg"), *page.all("canvas")):
        assert attrs.get("aria-hidden") == "true" or (attrs["role"] == "img" and attrs["aria-label"])
    assert len(page.all("canvas")) == 5
    assert len(page.all("caption")) == len(page.all("table")) > 10
    assert all(attrs["scope"] in {"row", "col"} for attrs in page.all("th"))
    labelled = {attrs["for"] for attrs in page.all("label")}
    assert {attrs["id"] for tag in ("select", "input") for attrs in page.all(tag)} <= labelled
    levels = [int(tag[1]) for tag, _ in page.tags if tag in {"h1", "h2", "h3", "h4"}]
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_text_of_files_is_escaped(text, hostile):
    assert hostile not in text and "<script>alert" not in text and "&lt;/script&gt;" in text
    assert len(Page(text).all("script")) == 2


def test_numbers_are_those_of_the_scores(verified, text):
    _, scores = verified
    table = text[text.index("Scores pooled over lead times") :].split("</table>")[0]
    rows = {re.split(r"</?th[^>]*>", row)[1]: row for row in table.split("<tr>")[2:]}
    for label, name in (("CRPS fair", "crps_fair_pooled"), ("SSIM", "ssim_pooled"), ("MAE", "mae_pooled")):
        shown = [float(value) for value in re.findall(r'<data value="([^"]+)"', rows[label])]
        score, difference = scores[name].values, scores[f"{name}_difference"].values
        assert shown == [score[0], score[1], difference[1], score[2], difference[2]]
    csi = scores["csi_pooled"].sel(threshold=74, summary="mean").values
    assert float(re.findall(r'<data value="([^"]+)"', rows["CSI ≥ 74"])[0]) == csi[0]
    low, high = scores["mae_pooled_interval"].sel(forecast="forecast").values
    assert f"{number(low)} to {number(high)}" in rows["MAE"]
    curve = scores["crps_fair"].sel(forecast="reference").values
    figure = text[text.index("<strong>CRPS, fair</strong>") :].split("</figure>")[0]
    assert {repr(float(value)) for value in curve} <= set(re.findall(r'<data value="([^"]+)"', figure))


def test_origin_protocol_and_models_are_said(verified, text):
    for said in ("alpha", "beta", "first.nc", "third.nc", "0ddba11", "sevir-128-10-10", "cadence minutes",
                 verified[1].attrs["event_list_hash"], verified[1].attrs["source"], "2 cases of 2 events"):  # fmt: skip
        assert said in text, said


def test_viewer_holds_every_model_of_the_shown_cases(text, inputs, hostile):
    data = json.loads(text.split('id="data">')[1].split("</script>")[0])
    assert {case["label"].split(",")[0] for case in data["cases"]} == {"E4", "E5"}
    assert data["cases"][0]["label"].endswith("most echo")
    assert [model["members"] for model in data["models"]] == [[0, 1, 2, 3], [0], [0, 1]] and data["models"][2][
        "name"
    ] == hostile
    assert data["frames"] == 10 and data["cases"][0]["times"][1].endswith("UTC, +10 min")
    for case in data["cases"]:
        assert [len(drawn["members"]) for drawn in case["models"]] == [4, 1, 2]
        assert ["probability" in drawn for drawn in case["models"]] == [True, False, True]
        assert len(case["models"][0]["probability"]) == 6


def test_a_page_that_is_there_is_refused_before_anything_is_scored(verified, inputs, tmp_path):
    folder = verified[0].parent
    before = verified[0].read_bytes()
    result = CliRunner().invoke(app, ["verify", "no-such.nc", "no.zarr", "--report", str(folder)])
    assert isinstance(result.exception, InputError) and "--overwrite" in str(result.exception)
    assert verified[0].read_bytes() == before
    check_target(folder, overwrite=True)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="no folder"):
        check_target(tmp_path / "file")


@pytest.fixture(scope="module")
def alone(inputs) -> tuple[list[xr.Dataset], xr.Dataset]:
    """One deterministic forecast of one event, without a reference or an interval."""
    with xr.open_dataset(inputs["reference"][0], decode_timedelta=True) as file:
        forecast = file.isel(case=[1], lead_time=[0, 1]).load()
    sums = states(forecast, inputs["store"])
    return [forecast, sums], scores_of(sums)


def test_one_deterministic_forecast_of_one_event(alone, inputs, tmp_path):
    (forecast, sums), scores = alone
    path = write_report(tmp_path / "new" / "folder", sums, scores, forecast=forecast, store=inputs["store"])
    text = path.read_text(encoding="utf-8")
    assert "One event, so there are no intervals." in text
    assert "Reliability" not in text and "Rank histogram" not in text and "ROC" in text
    assert "better" not in Page(text).text.get("span", []) and "includes zero" not in text


def test_nothing_is_left_of_a_page_that_fails(alone, inputs, tmp_path, monkeypatch):
    (forecast, sums), scores = alone
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        write_report(tmp_path / "r", sums, scores, forecast=forecast, store=inputs["store"])
    assert list((tmp_path / "r").iterdir()) == []


def test_scores_of_other_forecasts_are_refused(alone, inputs, tmp_path):
    (forecast, sums), scores = alone
    with pytest.raises(InputError, match="other forecasts"):
        write_report(tmp_path, sums, scores, forecast=forecast, store=inputs["store"], reference=inputs["reference"])


def test_large_pictures_are_averaged_and_the_page_says_so(alone, inputs, tmp_path, monkeypatch):
    """One case, two lead times, 16x16 pixels, observed and forecast: 1024 pixels, of which a quarter is allowed."""
    (forecast, sums), scores = alone
    monkeypatch.setattr("nowcast.report.cases._PIXELS", 256)
    text = write_report(tmp_path, sums, scores, forecast=forecast, store=inputs["store"]).read_text(encoding="utf-8")
    data = json.loads(text.split('id="data">')[1].split("</script>")[0])
    assert (data["width"], data["height"], data["averaged"]) == (8, 8, 2)
    assert "averaged over 2 × 2 pixels" in text


def test_a_video_has_pictures_and_scores_but_no_events(tmp_path):
    """A grey clip of four frames, 40 ms apart, and two members that are off by -10 and 20."""
    frames = np.random.default_rng(0).integers(20, 200, (1, 4, 1, 12, 16)).astype("float32")
    times = np.datetime64("2000-01-01", "us") + np.arange(4) * np.timedelta64(40, "ms")
    store = xr.Dataset(
        {"video": (("event", "frame", "channel", "y", "x"), frames)},
        {"event": ["clip"], "valid_time": (("event", "frame"), times[None])},
        {"data_range": 255},
    )
    members = frames[:, None, 2:] + np.array([-10, 20], "float32").reshape(2, 1, 1, 1, 1)
    forecast = xr.Dataset(
        {"video": (("case", "member", "lead_time", "channel", "y", "x"), members)},
        {
            "event": ("case", ["clip"]),
            "init_time": ("case", times[[1]]),
            "lead_time": np.array([40, 80]) * np.timedelta64(1, "ms"),
        },
        {"model": "made"},
    )
    sums = states(forecast, store)
    text = write_report(tmp_path, sums, scores_of(sums), forecast=forecast, store=store).read_text(encoding="utf-8")
    data = json.loads(text.split('id="data">')[1].split("</script>")[0])
    assert data["cases"][0]["times"] == ["+0.04 s", "+0.08 s"] and data["cases"][0]["models"][0]["probability"] == []
    assert "lead time (s)" in text and "Rank histogram, made" in text and "UTC" not in text.split("<script")[0]
    for absent in ("CSI", "Reliability", "VIL", "coasts"):
        assert absent not in Page(text).text.get("caption", []) and absent not in text.split("<script")[0], absent


def test_lead_times_that_are_not_observed_yet_are_shown_and_said_not_to_be(inputs, tmp_path):
    """The store ends two lead times into a forecast of ten."""
    store = open_store(inputs["store"]).isel(frame=slice(0, 12))
    sums = states(inputs["forecast"], store)
    path = write_report(tmp_path, sums, scores_of(sums), forecast=inputs["forecast"], store=store)
    text = path.read_text(encoding="utf-8")
    data = json.loads(text.split('id="data">')[1].split("</script>")[0])
    assert data["frames"] == 10 and [case["seen"] for case in data["cases"]] == [2, 2]
    assert "5 min to 10 min ahead" in text and "; scored 2 of 10 lead times" in text and "not observed yet" in text
