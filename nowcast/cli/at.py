"""The command at. Heavy libraries are imported inside it, as in `nowcast.cli.app`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nowcast.cli.console import console, note, tell
from nowcast.cli.prepare import Overwrite
from pipelines.errors import InputError
from pipelines.store.paths import refuse_inputs

if TYPE_CHECKING:
    import xarray as xr
    from rich.table import Table

_THRESHOLDS = "thresholds.csv"  # the table by threshold, of a folder only
_FILES = {"leads.csv": ".csv", "places.nc": ".nc", "plume.png": ".png", _THRESHOLDS: ".csv"}
_MOST_TABLES = 4


def at(
    forecast: Annotated[Path, typer.Argument(help="Forecast: NetCDF file or Zarr store.")],
    point: Annotated[
        list[str] | None, typer.Option(help="LATITUDE,LONGITUDE or NAME=LATITUDE,LONGITUDE. Repeat for more.")
    ] = None,
    points: Annotated[
        Path | None, typer.Option(help="CSV file with the columns name, lat and lon; also with semicolons.")
    ] = None,
    areas: Annotated[Path | None, typer.Option(help="GeoJSON file of polygons, such as catchments.")] = None,
    threshold: Annotated[
        list[str] | None,
        typer.Option(help="Such as 2.5mm/h, 35dBZ or 74counts; without a unit in that of the answer. Repeat for more."),
    ] = None,
    units: Annotated[
        str | None, typer.Option(help="mm/h, dBZ, kg/m2 or counts; by default those of the forecast.")
    ] = None,
    case: Annotated[int | None, typer.Option(min=0, help="Only the case of this number; default: all.")] = None,
    store: Annotated[Path | None, typer.Option(help="Store, file or folder of radar: adds what was observed.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="File to write, .csv, .nc or .png (a plume), or a folder for all of them.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Answer for points and areas: when it begins and ends, how surely, how strong, and how much.

    Prints a sentence for each place and a table by lead time. A point is the pixel that contains it, an area the mean
    and the maximum of the pixels whose centres it contains. Accumulations are sums over the lead times of each member,
    in mm, where the unit is mm/h. Places outside of the forecast are left out, with a line for each.
    """
    from nowcast.data.forecast_file import open_forecast
    from nowcast.data.observations import Observations
    from nowcast.forecasting.answers import answer
    from nowcast.forecasting.places import points_of, read_areas
    from nowcast.forecasting.sentences import sentences
    from pipelines.store.amounts import quantity_of_units

    targets = _targets(out, overwrite)
    for target in targets:
        refuse_inputs(target, [forecast, points, areas, store])
    places = [*points_of(point or []), *(points_of(points) if points else []), *(read_areas(areas) if areas else [])]
    if not places:
        raise InputError("no place", expected="--point LATITUDE,LONGITUDE, --points CSV or --areas GEOJSON")
    opened = open_forecast(forecast)
    for line in str(opened.attrs.get("quality", "")).splitlines():
        note(line)
    answered = answer(
        opened,
        places,
        thresholds=threshold or (),
        quantity=quantity_of_units(units) if units else None,
        case=case,
        observations=Observations.open(store) if store else None,
    )
    if out and not out.suffix:
        targets = _drawable(targets, answered.sizes["place"])
    for line in answered.attrs.get("left_out", "").splitlines():
        note(f"left out: {line}")
    for line in sentences(answered):
        tell(line)
    _print_tables(answered)
    for target in targets:
        tell(_write(answered, target, by_threshold=target != out and target.name == _THRESHOLDS))


def _targets(out: Path | None, overwrite: bool) -> list[Path]:
    """The files to write; of a folder one of each kind.

    Raises:
        InputError: for a file that exists, or has another suffix.
    """
    if out is None:
        return []
    if out.suffix not in {*_FILES.values(), ""}:
        raise InputError(f"cannot write {out}", expected="a name ending in .csv, .nc or .png, or a folder")
    targets = [out] if out.suffix else [out / name for name in _FILES]
    for target in targets:
        if target.exists() and not overwrite:
            raise InputError(f"{target} exists", remedy="say --overwrite to replace it")
    return targets


def _drawable(targets: list[Path], answers: int) -> list[Path]:
    """The files of a folder, without the plume where there are too many answers for one."""
    from nowcast.plots.plume import MOST_PANELS

    if answers <= MOST_PANELS:
        return targets
    note(f"no plume of {answers} answers; at most {MOST_PANELS} can be drawn")
    return [target for target in targets if target.suffix != ".png"]


def _write(answered: "xr.Dataset", target: Path, *, by_threshold: bool) -> Path:
    from nowcast.forecasting.answer_files import save_answers
    from nowcast.plots.plume import save_plume

    if target.suffix == ".png":
        return save_plume(answered, target, overwrite=True)
    return save_answers(answered, target, by_threshold=by_threshold, overwrite=True)


def _print_tables(answered: "xr.Dataset") -> None:
    """A table by lead time for each place, where they are few."""
    if answered.sizes["place"] > _MOST_TABLES:
        note(f"tables by lead time of {answered.sizes['place']} answers: --out FOLDER")
        return
    for number in range(answered.sizes["place"]):
        console.print(_table(answered.isel(place=number)))


def _table(one: "xr.Dataset") -> "Table":
    """Median and range, probabilities and accumulation of one place by lead time."""
    from nowcast.data.conventions import lead_label
    from nowcast.forecasting.sentences import clock, percent
    from nowcast.verification.tables import plain_table
    from pipelines.store.amounts import units_text

    unit, summed = units_text(one.attrs["quantity"]), "accumulation_quantile" in one
    columns = ["median", "5 to 95 %", *(f"P(≥ {level:g})" for level in one["threshold"].values)]
    columns += ["mm", "5 to 95 %"] * summed + ["seen"] * ("observed" in one)
    init: Any = one["init_time"].values[()]
    sums = f", and mm since {clock(init, init)}" * summed
    table = plain_table(f"{one['name'].item()}, {one['series'].item()}: {unit}{sums}", "UTC, +min", columns)
    for column in table.columns:
        column.no_wrap = True
    for number, lead in enumerate(one["lead_time"].values):
        at = one.isel(lead_time=number)
        valid: Any = at["valid_time"].values[()]
        cells = _range(at["amount_quantile"]) + [percent(share) for share in at["probability"].values]
        cells += _range(at["accumulation_quantile"], ".1f") if summed else []
        cells += [f"{at['observed'].item():.2g}"] if "observed" in one else []
        table.add_row(f"{clock(valid, init)} +{lead_label(lead).removesuffix(' min')}", *cells)
    return table


def _range(quantiles: "xr.DataArray", form: str = ".2g") -> list[str]:
    low, middle, high = (f"{value:{form}}" for value in quantiles.sel(quantile=[0.05, 0.5, 0.95]).values)
    return [middle, low if low == high else f"{low} to {high}"]
