"""Nowcasts of radar in a few lines of Python; `nowcast --help` has the command line.

    model = nowcast.load("predldm")
    forecast = model.forecast(history, members=100)          # a DataArray in, a DataArray out
    nowcast.at(forecast, {"Delft": (52.0, 4.4)}, units="mm/h")   # when, how surely and how much, at places
    nowcast.probability_at(forecast, 52.1, 5.2, "2.5mm/h")   # P(>= 2.5 mm/h) at a place, by lead time
    scores = nowcast.verify(forecast, obs)
    nowcast.plot(forecast, obs).savefig("map.png")
    nowcast.page(forecast, "now.html", obs)                  # one file to look at

Libraries are imported when a function is called, so that `import nowcast` costs nothing.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines import __version__ as __version__

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    from nowcast.forecasting.door import Model


def load(model: str | Path, *, device: str | None = None, sampling: dict[str, Any] | None = None) -> "Model":
    """Load a model, whose `forecast` takes and returns xarray.

    Args:
        model: A name of `nowcast models`, such as "predldm"; or the path of a run folder or checkpoint.
        device: "cpu" or "cuda"; by default a GPU if there is one.
        sampling: Sampling settings that replace those of a diffusion model, such as {"steps": 5}.

    Raises:
        InputError: when there is no such model or device, or it has no such setting.
    """
    from nowcast.forecasting import door

    return door.load(model, device=device, sampling=sampling)


def verify(
    forecast: "xr.DataArray | xr.Dataset | str | Path", obs: "xr.DataArray | xr.Dataset | str | Path", **options: Any
) -> "xr.Dataset":
    """Score a forecast against what was observed.

    Args:
        forecast: A forecast of `Model.forecast`, or the path of a forecast file.
        obs: Observed radar, dims (time, y, x), with units as a history; or a Dataset with one such variable; or a
            store, open or by path.
        options: Those of `nowcast.verification.verify`, such as `reference`, `samples` or `thresholds`.

    Returns:
        Scores by lead time and over all lead times, in counts; see `nowcast.verification.verify`.

    Raises:
        InputError: when they do not fit together.
    """
    from nowcast.verification import verify as score

    return score(*_pair(forecast, obs), **options)


def plot(
    forecast: "xr.DataArray | xr.Dataset | str | Path",
    obs: "xr.DataArray | xr.Dataset | str | Path | None" = None,
    **options: Any,
) -> "Figure":
    """Draw one case on maps: observation, ensemble mean, members, probability and spread.

    Args:
        forecast: A forecast of `Model.forecast`, or the path of a forecast file.
        obs: Observed radar as for `verify`; adds a row.
        options: Those of `nowcast.plots.maps.plot_forecast`: case, lead_times, members, threshold, units.

    Returns:
        A figure of matplotlib; `savefig` writes it.

    Raises:
        InputError: when the forecast has no such case, member or lead time, or the observation lacks its event.
    """
    from nowcast.data.forecast_file import open_forecast
    from nowcast.plots.maps import plot_forecast

    shown, store = _pair(forecast, obs)
    shown = open_forecast(shown) if isinstance(shown, Path) else shown
    return plot_forecast(shown, store, **options)


def page(
    forecast: "xr.DataArray | xr.Dataset | str | Path",
    out: str | Path,
    obs: "xr.DataArray | xr.Dataset | str | Path | None" = None,
    **options: Any,
) -> Path:
    """Write one HTML file of one case, to look at without a server: a map by time, and the plume of a clicked place.

    Args:
        forecast: A forecast of `Model.forecast`, or the path of a forecast file.
        out: HTML file to write.
        obs: Observed radar as for `verify`; the page then shows the past and what was observed.
        options: Those of `nowcast.report.nowcast_page.write_page`: case, thresholds, units, overwrite.

    Returns:
        The path of the file.

    Raises:
        InputError: when the file exists, or see `nowcast.report.nowcast_page.write_page`.
    """
    from nowcast.report.nowcast_page import write_page

    shown, store = _pair(forecast, obs)
    return write_page(shown, Path(out), store=store, **options)


def probability_at(
    forecast: "xr.DataArray | xr.Dataset | str | Path",
    latitude: float,
    longitude: float,
    threshold: float | str = "74counts",
) -> "xr.DataArray":
    """Share of the members at or above a threshold in the pixel of a place, by lead time.

    Args:
        forecast: A forecast with coordinates latitude and longitude, or the path of a forecast file; of several cases,
            the one that holds the place.
        latitude: Degrees north.
        longitude: Degrees east.
        threshold: A number in the forecast's own unit, or with a unit, such as "2.5mm/h"; 74 counts are 2.64 mm h-1.

    Returns:
        Dims (lead_time,); NaN where nothing was observed at the place. Its attribute `comment` says what a share of 0
        means: of 100 members not never, but up to 1 in 101.

    Raises:
        InputError: when the place lies outside of the forecast or in several cases, the forecast has no latitude and
            longitude, or the threshold is none that counts can reach (5.5 to 254 counts).
    """
    from nowcast.data.forecast_file import as_counts, open_forecast
    from nowcast.forecasting.answers import probability_at as at_pixel

    made = open_forecast(Path(forecast)) if isinstance(forecast, str | Path) else as_counts(forecast)
    return at_pixel(made, latitude, longitude, threshold)


def at(
    forecast: "xr.DataArray | xr.Dataset | str | Path",
    points: Any = (),
    *,
    areas: Mapping[str, Any] | str | Path | None = None,
    obs: "xr.DataArray | xr.Dataset | str | Path | None" = None,
    thresholds: str | float | Sequence[str | float] = (),
    units: str | None = None,
    case: int | None = None,
) -> "xr.Dataset":
    """Answer for points and areas: quantiles, probabilities, accumulations, and when a threshold is reached and left.

    Args:
        forecast: A forecast of `Model.forecast`, or the path of a forecast file.
        points: Pairs of latitude and longitude, in a list or by name; texts such as "Geneva=46.2,6.1"; or the path of
            a CSV file with the columns name, lat and lon.
        areas: Polygons as GeoJSON, in degrees: the path of a file, or its content.
        obs: Observed radar as for `verify`; adds what was observed.
        thresholds: One or several: numbers in the unit of the answer, or texts with a unit, such as "2.5mm/h".
        units: "mm/h", "dBZ", "kg/m2" or "counts"; by default those of the forecast.
        case: Number of the only case to answer for; by default all that hold a place.

    Returns:
        See `nowcast.forecasting.answers.answer`; `nowcast.forecasting.sentences.sentences` puts it in words, and
        `nowcast.plots.plume.plot_plume` draws it. Its attribute `left_out` names the places outside of the forecast.

    Raises:
        InputError: where no place lies in the forecast, and for inputs that are not what they should be.
    """
    from nowcast.data.forecast_file import open_forecast
    from nowcast.data.observations import Observations
    from nowcast.forecasting.answers import answer
    from nowcast.forecasting.places import points_of, read_areas
    from pipelines.store.amounts import quantity_of_units

    made, store = _pair(forecast, obs)
    polygons = [] if areas is None else read_areas(Path(areas) if isinstance(areas, str) else areas)
    return answer(
        open_forecast(made) if isinstance(made, Path) else made,
        [*points_of(points), *polygons],
        thresholds=thresholds,
        quantity=quantity_of_units(units) if units else None,
        case=case,
        observations=None if store is None else Observations.open(store),
    )


def _pair(forecast: Any, obs: Any) -> tuple[Any, Any]:
    """Paths as they are, and DataArrays as the datasets that verification and plots take."""
    import xarray as xr

    from nowcast.data.forecast_file import as_counts, open_forecast
    from nowcast.forecasting.door import check_xarray, observed_store, radar_array

    made = Path(forecast) if isinstance(forecast, str | Path) else as_counts(forecast)
    if hasattr(obs, "__array__"):
        check_xarray(obs, "observation")
    obs = radar_array(obs) if isinstance(obs, xr.Dataset) and "event" not in obs.variables else obs
    if isinstance(obs, xr.DataArray):
        made = open_forecast(made) if isinstance(made, Path) else made
        return made, observed_store(obs, made)
    return made, Path(obs) if isinstance(obs, str) else obs
