"""The command at. Heavy libraries are imported inside it, as in `nowcast.cli.app`."""

from collections.abc import Callable
from itertools import accumulate
from math import isnan
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

    Prints a sentence for each place and threshold, and a table by lead time. A point is the pixel that contains it, an
    area the mean and the maximum of the pixels whose centres it contains. Accumulations are sums over the lead times of
    each member, in mm, where the unit is mm/h. Places outside of the forecast are left out, with a line for each.
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
        for table in tables(answered.isel(place=number), console.width):
            console.print(table)


def tables(one: "xr.Dataset", width: int) -> list["Table"]:
    """Median and range, accumulation and probabilities of one place by lead time.

    Args:
        one: The answer for one place.
        width: Characters of a line; the columns that find no room stand in further tables.
    """
    from nowcast.forecasting.sentences import clock
    from nowcast.verification.tables import plain_table
    from pipelines.store.amounts import units_text

    init: Any = one["init_time"].values[()]
    sums = f", and mm since {clock(init, init)}" * ("accumulation_quantile" in one)
    title = f"{one['name'].item()}, {one['series'].item()}: {units_text(one.attrs['quantity'])}{sums}"
    title += f"; P: share of {one.sizes['member']} members" * (one.sizes["member"] > 1)
    times, *columns = _columns(one, init)
    made = []
    while columns:
        ends = accumulate(_wide(column) for column in [times, *columns])
        here = max(1, sum(end - 1 <= width for end in ends) - 1)
        shown, columns = [times, *columns[:here]], columns[here:]
        table = plain_table(title, times[0], [heading for heading, *_ in shown[1:]])
        for row in zip(*(cells for _, *cells in shown), strict=True):
            table.add_row(*row)
        for column in table.columns:
            column.no_wrap = True
        made.append(table)
    return made


def _wide(column: list[str]) -> int:
    """Characters of a column with the two spaces beside it."""
    return max(map(len, column)) + 2


def _columns(one: "xr.Dataset", init: Any) -> list[list[str]]:
    """The columns of the table of a place, first the times, each with its heading before its cells."""
    from nowcast.data.conventions import lead_label
    from nowcast.forecasting.sentences import clock, depth, percent

    times = zip(one["valid_time"].values, one["lead_time"].values, strict=True)
    columns = [
        ["UTC, +min", *(f"{clock(valid, init)} +{lead_label(lead).removesuffix(' min')}" for valid, lead in times)]
    ]
    columns += _ranges("median", one["amount_quantile"], _short)
    if "accumulation_quantile" in one:
        columns += _ranges("mm", one["accumulation_quantile"], depth)
    if "observed" in one:
        columns.append(["seen", *map(_short, one["observed"].values)])
    shares = zip(one["threshold"].values, one["probability"].transpose("threshold", ...).values, strict=True)
    return columns + [[f"P(≥ {level:.3g})", *map(percent, row)] for level, row in shares]


def _ranges(heading: str, quantiles: "xr.DataArray", text: Callable[[float], str]) -> list[list[str]]:
    """The columns of the median and of the range of 90 %."""
    leads = quantiles.sel(quantile=[0.05, 0.5, 0.95]).transpose("lead_time", "quantile").values
    rows = [list(map(text, lead)) for lead in leads]
    ranges = [low if low == high else f"{low} to {high}" for low, _, high in rows]
    return [[heading, *(median for _, median, _ in rows)], ["5 to 95 %", *ranges]]


def _short(amount: float) -> str:
    """An amount in two digits, whole from ten on, without exponent; a dash where it is not known."""
    if isnan(amount):
        return "–"
    return f"{amount:.0f}" if abs(amount) >= 10 else f"{round(amount, 3) + 0.0:.2g}"
