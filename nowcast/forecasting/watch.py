"""The live loop: a forecast from the newest frames of a folder, as soon as they are complete.

    OUT/forecasts/20210704T182500.nc      a forecast, named by its init time (UTC)
    OUT/forecasts/20210704T182500.html    its page
    OUT/latest.nc, OUT/latest.html        links to the newest ones, which never point to anything incomplete

A file is taken when it is the same in two looks at the folder and can be read. Files, frames or a disk with which
something is wrong cost one line each, and the loop goes on. Where forecasts cannot be written it tries again at every
look, with one line when that begins and one when it ends.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from nowcast.data.conventions import minute_text
from nowcast.data.radar_file import SeveralProductsError, Tell
from nowcast.forecasting.cases import Cases, Request
from nowcast.forecasting.forecast import cases_of, write_forecast
from nowcast.models.forecaster import Forecaster
from pipelines.errors import InputError
from pipelines.radar.files import find_files
from pipelines.store.paths import state_of
from pipelines.store.whole import exclusive

Page = Callable[[Path, Path, xr.Dataset], object]
"""Writes the page of a forecast: takes the forecast file, the file to write, and the history as a store."""

State = dict[Path, tuple[int, int]]  # bytes and time of change of files

_FORM = "%Y%m%dT%H%M%S.nc"
_NAME = re.compile(r"\d{8}T\d{6}\.nc")


@dataclass
class Watch:
    """A folder of files of radar that is watched, and what is made of it.

    Attributes:
        forecaster: The model.
        described: Attributes of its forecasts (see `nowcast.forecasting.forecast.load_forecaster`).
        folder: The folder, or a wildcard of its files.
        out: Folder of the forecasts.
        request: Members and seed.
        keep: Number of forecasts to keep, the newest ones.
        page: Makes the pages; None for none.
        tell: Called with a line about each forecast, and about each thing that is not as it should be.
    """

    forecaster: Forecaster
    described: dict[str, Any]
    folder: Path
    out: Path
    request: Request
    keep: int = 24
    page: Page | None = None
    tell: Tell = lambda text: None
    _seen: State = field(default_factory=dict)
    _done: State = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)
    _unwritten: bool = False

    def run(self, every: float, made: Callable[[Path], object]) -> None:
        """Look at the folder every so many seconds, until the process ends.

        Args:
            every: Seconds.
            made: Called with the path of each forecast.

        Raises:
            InputError: when another process writes into the same folder of forecasts.
        """
        trouble: int | str = ""
        failing = False
        with exclusive(self.out / "forecasts"):
            while True:
                try:
                    if path := self.look():
                        made(path)
                        trouble = ""
                except Exception as error:  # whatever it is, the next frame may be well
                    line = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
                    now = getattr(error.__cause__ or error, "errno", None) or line  # a line may name the frame
                    if now != trouble:
                        self.tell(line)
                    trouble, failing = now, failing or self._unwritten
                if failing and not self._unwritten:
                    self.tell("forecasts are written again")
                    trouble, failing = "", False
                time.sleep(every)

    def once(self) -> Path | None:
        """Look once, take all files as complete, and return the forecast that was written; say so where there is none.

        Raises:
            InputError: see `run` and `look`.
        """
        with exclusive(self.out / "forecasts"):
            path = self.look(wait=False)
            if path is None:
                newest = datetime.strptime(_forecasts(self.out / "forecasts")[-1].name, _FORM)
                self.tell(f"nothing new since {minute_text(np.datetime64(newest))} UTC")
            return path

    def look(self, *, wait: bool = True) -> Path | None:
        """Forecast from the newest frames, unless that is done already.

        Args:
            wait: Leave out files that were not there, or were different, at the look before.

        Returns:
            The forecast that was written; None where there was nothing to do.

        Raises:
            InputError: when there are no files, they cannot be forecast, or the disk is full.
        """
        found, before = _state(self.folder), self._seen
        self._seen = found
        complete = {path: state for path, state in found.items() if not wait or before.get(path) == state}
        if not complete or complete == self._done:
            return None
        try:
            cases = self._cases(list(complete))
        except InputError:
            self._done = complete  # the same files would be refused again
            raise
        self._unwritten = True
        path = self._forecast(cases)
        self._done, self._unwritten = complete, False
        return path

    def _cases(self, paths: list[Path]) -> Cases:
        """The case of the newest frames, without files of other products where they are the fewer."""
        try:
            return cases_of(self.forecaster, paths, self.request, self._tell_once)
        except SeveralProductsError as error:
            name, files = max(error.files.items(), key=lambda product: len(product[1]))
            others = sorted(error.files.keys() - {name})
            if len(files) <= sum(len(error.files[other]) for other in others):
                raise
            self._tell_once(
                f"files of {', '.join(others)} are left out, those of {name} forecast: name these by a wildcard in "
                "quotes, as in watch 'radar/RATE*.h5'"
            )
            return cases_of(self.forecaster, files, self.request, self._tell_once)

    def _forecast(self, cases: Cases) -> Path | None:
        folder = self.out / "forecasts"
        init = cases.init_times[0].astype("datetime64[s]").item()
        path, known = folder / f"{init:{_FORM}}", _forecasts(folder)
        if known and known[-1] > path:
            self._tell_once(
                f"the newest frame, of {minute_text(np.datetime64(init))} UTC, is older than the forecast {known[-1]}: "
                "remove that if its time is wrong"
            )
            return None
        is_new = path not in known
        if is_new:
            write_forecast(self.forecaster, cases, path, self.request, described=self.described, tell=self._tell_once)
        _link(self.out / "latest.nc", path)
        page, latest_page = path.with_suffix(".html"), self.out / "latest.html"
        try:
            if self.page and not page.exists():
                self.page(path, page, cases.store)
            if page.exists():
                _link(latest_page, page)
        finally:
            for old in _forecasts(folder)[: -self.keep]:
                old.unlink()
                old.with_suffix(".html").unlink(missing_ok=True)
            if not latest_page.exists():
                latest_page.unlink(missing_ok=True)
        return path if is_new else None

    def _tell_once(self, line: str) -> None:
        if line not in self._told:
            self.tell(line)
        self._told.add(line)


def _state(folder: Path) -> State:
    """The state of each file of radar in a folder; of a Zarr store, that of all its files together."""
    state = {}
    for path in find_files([folder]):
        try:
            state[path] = state_of(path)
        except FileNotFoundError:  # moved away meanwhile
            continue
    return state


def _forecasts(folder: Path) -> list[Path]:
    """The forecasts in a folder, in order of time."""
    return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name)) if folder.is_dir() else []


def _link(link: Path, target: Path) -> None:
    """Make or replace a link at once, so that whoever follows it finds the old or the new target."""
    growing = link.with_name(f".{link.name}.partial")
    growing.unlink(missing_ok=True)
    growing.symlink_to(target.relative_to(link.parent))
    growing.replace(link)
