"""The bench of an experiment: its stores, and what becomes of a variant on them, step by step, each kept in a file."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import xarray as xr

from nowcast import verification
from nowcast.experiments.kept import digest, made_once, sums_once
from nowcast.experiments.runs import Runs, Trained
from nowcast.experiments.settings import Variant
from nowcast.forecasting.forecast import Request, load_forecaster, write_forecast
from nowcast.forecasting.noisy import Noisy
from pipelines.errors import InputError
from pipelines.store.kind import kind_of
from pipelines.store.schema import open_store

Tell = Callable[[str], object]
Progress = Callable[[str], Callable[[Sequence[Any]], Iterable[Any]]]


@dataclass(frozen=True)
class Options:
    """How an experiment runs.

    Attributes:
        out: Folder for all outputs.
        runs: Folder of training runs; `out`/runs by default.
        budget: Minutes of training of each variant; by default the steps of the configurations.
        members: Ensemble size.
        cases: Largest number of test cases.
        lead: Frames to forecast.
        device: cpu, cuda or None for the best there is.
        lpips_weights: Weights for LPIPS.
        i3d_weights: Weights for FVD and KVD.
    """

    out: Path
    runs: Path | None = None
    budget: float | None = None
    members: int = 4
    cases: int | None = None
    lead: int | None = None
    device: str | None = None
    lpips_weights: Path | None = None
    i3d_weights: Path | None = None


@dataclass(frozen=True)
class Made:
    """A variant that was forecast.

    Attributes:
        variant: The variant.
        forecast: The forecast file.
        trained: Its run; None of a model that is not trained here.
        parameters: Numbers that training finds; None of a model that is no network.
    """

    variant: Variant
    forecast: Path
    trained: Trained | None
    parameters: int | None


class Bench:
    """The stores and the steps."""

    def __init__(self, stores: Sequence[Path], options: Options, tell: Tell, progress: Progress):
        """Find the stores to train on, those with a training split, and the one to test on.

        Raises:
            InputError: when there is not one store with a test split, or none to train on.
        """
        opened = {path: open_store(path) for path in stores}
        splits = {path: set(store["split"].values.astype(str)) for path, store in opened.items()}
        tests = [path for path in stores if "test" in splits[path]]
        if len(tests) != 1:
            raise InputError(
                "an experiment scores the test split of one store",
                got=f"{len(tests)} of {len(stores)} stores with a test split",
                expected="one",
                remedy="see `nowcast info STORE` for its splits",
            )
        self.training = [path for path in stores if splits[path] & {"train", "val"}]
        self.test, self.store = tests[0], opened[tests[0]]
        self.options, self.tell, self._progress = options, tell, progress
        self._runs: Runs | None = None

    @property
    def kind(self) -> Literal["radar", "video"]:
        """Radar or video."""
        return "video" if kind_of(self.store).has_channels else "radar"

    @property
    def data_set(self) -> str:
        """The paper's data set that the test store is of, or is like."""
        return "sevir" if self.kind == "radar" else str(self.store.attrs["protocol"]).partition("-")[0]

    @property
    def runs(self) -> Runs:
        """The training runs.

        Raises:
            InputError: when no store has a training split.
        """
        if self._runs is None:
            if not self.training:
                raise InputError("no store has a training split", remedy="give one more --store to train on")
            options = self.options
            folder = options.runs or options.out / "runs"
            self._runs = Runs(folder, self.training, device=options.device, budget=options.budget, tell=self.tell)
        return self._runs

    def made(self, variant: Variant) -> Made:
        """Train and forecast a variant, where that is not done.

        Raises:
            InputError: when the model cannot forecast this store; why, in words.
            TrainingStoppedError: when its training fails.
        """
        if variant.model == "pysteps" and find_spec("pysteps") is None:
            raise InputError("pysteps is not installed", remedy="pip install pysteps")
        options = self.options
        trained = None if variant.config is None else self.runs.trained(variant)
        forecaster, described = load_forecaster(
            trained.run if trained else variant.forecaster, device=options.device, sampling=dict(variant.sampling)
        )
        if variant.noise:
            forecaster = Noisy(forecaster, variant.noise)
        members = 1 if forecaster.deterministic else options.members
        request = Request(members=members, limit=options.cases, lead=options.lead, units="counts")
        origin = trained.run.name if trained else [variant.forecaster, described.get("checkpoint_sha256")]
        changed = [variant.noise, dict(variant.sampling)]
        told = [origin, str(self.store.attrs["event_list_hash"]), str(request), changed]
        out = options.out / "forecasts" / f"{variant.model}-{digest(told)}.nc"

        def write() -> None:
            self.tell(f"forecast {variant.name}")
            write_forecast(
                forecaster, self.test, out, request, described=described, tell=self.tell,
                progress=self._progress(f"forecast {variant.name}, batches of members"),
            )  # fmt: skip

        return Made(variant, made_once(out, write), trained, _parameters(forecaster))

    def sums(self, made: Made) -> xr.Dataset:
        """The sums that the scores of a forecast are taken from, its model under the name of the variant."""
        options = self.options
        perception = [str(file.resolve()) for file in (options.lpips_weights, options.i3d_weights) if file]
        out = options.out / "sums" / f"{made.forecast.stem}{f'-{digest(perception)}' if perception else ''}.nc"

        def take() -> list[xr.Dataset]:
            progress = self._progress(f"verify {made.variant.name}, cases")
            return verification.states(
                made.forecast, self.test, progress=progress, perception=self._perception() if perception else None
            )

        (state,) = sums_once(out, take)
        return state.assign_attrs(model=made.variant.name)

    def _perception(self) -> Any:
        from nowcast.verification.metrics.perceptual import load_perception

        return load_perception(self.options.lpips_weights, self.options.i3d_weights)


def _parameters(forecaster: Any) -> int | None:
    network = getattr(forecaster, "network", None)
    return None if network is None else sum(p.numel() for p in network.parameters())
