"""What a forecast needs: told before a frame is read, and each frame read once."""

import numpy as np
import pytest
import xarray as xr

from nowcast.data import radar_file
from nowcast.forecasting import forecast as module
from nowcast.forecasting.forecast import Request, cases_of, write_forecast
from nowcast.models.forecaster import Forecaster
from pipelines.errors import InputError
from pipelines.store.schema import open_store


class Equal(Forecaster):
    """Members that repeat the newest frame, two at once."""

    member_batch = 2

    def predict(self, cases, leads, members, seed):
        return np.broadcast_to(
            cases.last_seen()[:, None, None], (len(cases.keys), len(members), leads, *cases.frames.shape[2:])
        )


@pytest.fixture
def happened(monkeypatch):
    """What happens in order: what is told, and "read" for each frame or history that is read."""
    events: list[str] = []
    read_counts, history_of = radar_file.read_counts, module.history_of
    monkeypatch.setattr(radar_file, "read_counts", lambda *given: events.append("read") or read_counts(*given))
    monkeypatch.setattr(module, "history_of", lambda *given: events.append("read") or history_of(*given))
    return events


def written(source, out, happened, **request):
    request = Request(members=3, **request)
    return write_forecast(Equal(), source, out, request, described={"model": "equal"}, tell=happened.append)


@pytest.fixture
def files(cf_radar, tmp_path):
    """Files of ten frames of 12 x 20 pixels, in counts and in mm/h."""
    counts = np.random.default_rng(0).integers(6, 200, (10, 12, 20)).astype("float32")
    whole = cf_radar(counts)
    whole.to_netcdf(tmp_path / "counts.nc")
    cf_radar(counts / 10, units="mm h-1").rename(vil="rain").to_netcdf(tmp_path / "rain.nc")
    return tmp_path


LESS = "--ensemble, --around or --summary-only make it smaller"


@pytest.mark.parametrize(
    ("name", "request_", "line"),
    [  # 3 members of 10 frames of 240 pixels: 7200 numbers of two bytes, or of four in other units than counts
        ("counts.nc", {}, f"the forecast holds 1.4e-05 GB before compression: {LESS}"),
        ("rain.nc", {}, f"the forecast holds 2.9e-05 GB before compression: {LESS}"),
        ("rain.nc", {"lead": 5}, f"the forecast holds 1.4e-05 GB before compression: {LESS}"),
        ("rain.nc", {"units": "counts"}, f"the forecast holds 1.4e-05 GB before compression: {LESS}"),
        ("rain.nc", {"summary_only": True}, "the members of a case need 1.4e-05 GB of memory: --ensemble or --around "
         "make them smaller"),
    ],
)  # fmt: skip
def test_a_large_forecast_of_files_is_told_before_a_frame_is_read(files, happened, monkeypatch, name, request_, line):
    monkeypatch.setattr(module, "LARGE_GB", 1e-6)
    cases_of(Equal(), files / name, Request(members=3, **request_), happened.append)
    assert happened[:2] == [line, "read"] and happened.count(line) == 1


def test_a_forecast_that_is_not_large_says_nothing_of_its_size(files, happened, monkeypatch):
    monkeypatch.setattr(module, "LARGE_GB", 1.5e-5)
    cases_of(Equal(), files / "counts.nc", Request(members=3), happened.append)
    assert set(happened) == {"read"}


def test_large_sizes_are_whole_numbers(files, happened):
    cases_of(Equal(), files / "rain.nc", Request(members=100, lead=450_000), happened.append)
    assert happened[0] == f"the forecast holds 43 GB before compression: {LESS}"
    cases_of(Equal(), files / "rain.nc", Request(members=100, lead=1_290_000), happened.append)
    assert f"the forecast holds 120 GB before compression: {LESS}" in happened


def test_a_large_forecast_of_a_store_is_told_before_a_history_is_read(small_store, tmp_path, happened, monkeypatch):
    monkeypatch.setattr(module, "LARGE_GB", 1e-6)
    written(small_store, tmp_path / "f.nc", happened)  # 3 cases of 3 members of 10 frames of 256 pixels, two bytes each
    assert happened[:2] == [f"the forecast holds 4.6e-05 GB before compression: {LESS}", "read"]


@pytest.mark.parametrize(
    ("request_", "line"),
    [({"events": ("other",)}, "no event other; expected counts"), ({"units": "K"}, "'K'")],
)
def test_what_can_be_refused_before_a_frame_is_read_is(files, happened, request_, line):
    with pytest.raises(InputError, match=line):
        written(files / "counts.nc", files / "f.nc", happened, **request_)
    assert happened == []


def test_each_history_of_an_archive_is_read_once_and_notes_are_told_before_the_work(
    small_store, tmp_path, happened, monkeypatch
):
    for name, gb, reads in (("all.nc", 0.5, 3), ("two.nc", 2 * 10 * 256 * 4e-9, 4)):
        monkeypatch.setattr(module, "KEPT_GB", gb)
        happened.clear()
        written(small_store, tmp_path / name, happened)
        assert happened.count("read") == reads
    files = [xr.open_dataset(tmp_path / name).load() for name in ("all.nc", "two.nc")]
    xr.testing.assert_identical(*files)
    observed = open_store(small_store)["vil"]
    np.testing.assert_array_equal(files[0]["vil"].values[1, 2, 9], observed.isel(event=5, frame=9).values)


def test_notes_on_the_histories_are_told_before_the_first_is_forecast(files, cf_radar, happened, monkeypatch):
    cf_radar(np.zeros((10, 12, 20), "float32")).to_netcdf(files / "dry.nc")
    progress = iter

    def begun(batches):
        happened.append("begun")
        return progress(batches)

    write_forecast(
        Equal(), files / "dry.nc", files / "f.nc", Request(members=3), described={"model": "equal"},
        tell=happened.append, progress=begun,
    )  # fmt: skip
    dry = next(number for number, text in enumerate(happened) if text.startswith("the history has no echo"))
    assert dry < happened.index("begun")
