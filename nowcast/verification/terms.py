"""Conditions under which scores may bear a protocol's name, and the share of the protocol that a forecast covers.

Refused: a store of another grid or reducer, or split at other dates, than the protocol says; a forecast made under
another protocol or of fields of another reducer; a forecast of events of several splits. A file that says nothing of
these, as other people's files do, is taken at its word. Said but not refused: a forecast of a part of the protocol's
windows or lead times (`coverage`).
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from pydantic import ValidationError

from nowcast.data.conventions import DURATION, THRESHOLDS, TIME, lead_times
from nowcast.data.windows import evaluation_windows
from nowcast.verification.contract import DATA_RANGE
from nowcast.verification.inputs import Case, Forecast
from pipelines.errors import InputError
from pipelines.store.amounts import quantity_of_threshold, threshold_in_counts
from pipelines.store.kind import VIDEO, kind_of
from pipelines.store.protocol import Protocol, load_protocol
from pipelines.store.settings import describe
from pipelines.store.units import COUNTS


@dataclass(frozen=True)
class Terms:
    """The terms that a set of scores was computed under.

    Attributes:
        thresholds: Event thresholds on the count scale.
        windows: The cases that the protocol has in this store; None where that is not known.
        attrs: The same, as the attributes of a file of scores.
        data_range: Range of counts that PSNR and SSIM assume; this many counts are 1 where papers score on [0, 1].
    """

    thresholds: tuple[float, ...]
    windows: frozenset[str] | None
    attrs: dict[str, Any]
    data_range: float = DATA_RANGE


def agree(
    store: xr.Dataset,
    forecasts: Sequence[Forecast],
    protocol: Protocol | None,
    thresholds: Sequence[float | str] = (),
) -> Terms:
    """The terms of a comparison.

    Args:
        store: The observations.
        forecasts: The forecasts to score, on the cases of the first.
        protocol: The protocol to score under; by default the one that the store names, if any.
        thresholds: Replace those of the protocol: numbers in the first forecast's own unit, or with a unit, "2.5mm/h".

    Raises:
        InputError: when store, forecasts and protocol do not fit together, see above, or a threshold cannot be.
    """
    if protocol is not None:
        _check_store(store, protocol)
    elif store.attrs.get("protocol"):
        protocol = load_protocol(store.attrs["protocol"])
    for forecast in forecasts:
        _check_forecast(forecast, store, protocol)
    split = _split(store, forecasts[0].cases)
    attrs: dict[str, Any] = {"split": split, "event_list_hash": store.attrs.get("event_list_hash", "unknown")}
    given, said = _given(store, forecasts[0], thresholds)
    attrs |= said
    own_range = float(store.attrs.get("data_range", DATA_RANGE))
    if protocol is None:
        levels = given or (THRESHOLDS if "vil" in store else ())
        attrs = {"protocol": "none", "mean": "pooled", "data_range": own_range, **attrs}
        return Terms(levels, None, attrs, own_range)
    data_range = protocol.scaling or own_range
    attrs |= {"data_range": data_range}
    attrs |= {"protocol": protocol.name, "mean": protocol.mean, "protocol_settings": protocol.model_dump_json()}
    windows = _windows(store, protocol, split)
    if windows is not None:
        attrs["protocol_windows"] = len(windows)
        attrs |= _without_window(store, split, windows)
    return Terms(given or protocol.thresholds, windows, attrs, data_range)


def _given(
    store: xr.Dataset, forecast: Forecast, thresholds: Sequence[float | str]
) -> tuple[tuple[float, ...], dict[str, str]]:
    """The counts of thresholds that replace the protocol's, and attributes that say so and in which unit they are."""
    own = str(forecast.attrs.get("quantity", COUNTS))
    if not len(thresholds):
        return (), {} if own == COUNTS else {"threshold_quantity": own}
    if kind_of(store) is VIDEO:
        raise InputError("scores of video have no thresholds", remedy="leave out --threshold")
    unit = quantity_of_threshold(thresholds[0], own)
    texts = " and ".join(map(str, thresholds))
    said = {"thresholds": f"{texts}, given instead of the protocol's", "threshold_quantity": unit}
    return tuple(sorted({threshold_in_counts(each, own) for each in thresholds})), said


def _check_store(store: xr.Dataset, protocol: Protocol) -> None:
    reducer = store.attrs.get("reducer", protocol.reducer)
    if reducer != protocol.reducer or store.sizes["y"] != protocol.grid:
        raise InputError(
            f"the store does not fit the protocol {protocol.name}",
            got=f"{store.sizes['y']} pixels a side by {reducer}",
            expected=f"{protocol.grid} by {protocol.reducer}",
        )
    if not store.attrs.get("protocol"):
        return
    own = load_protocol(store.attrs["protocol"])
    for what in ("val_from", "test_from", "id_shares", "image_types", "frames", "cadence_minutes"):
        if getattr(own, what) != getattr(protocol, what):
            raise InputError(
                f"the store, made under {own.name}, has another {what} than {protocol.name}",
                got=str(getattr(own, what)),
                expected=str(getattr(protocol, what)),
                remedy=f"prepare a store with --protocol {protocol.name}",
            )


def _check_forecast(forecast: Forecast, store: xr.Dataset, protocol: Protocol | None) -> None:
    said = {"reducer": store.attrs.get("reducer"), "protocol": protocol.name if protocol else None}
    for what, expected in said.items():
        got = forecast.attrs.get(what)
        if got and expected and got != expected:
            raise InputError(
                f"the forecast of {forecast.model} was made under another {what}",
                got=got,
                expected=expected,
                remedy="their scores would not compare: forecast from this store, or verify against its own",
            )


def _split(store: xr.Dataset, cases: Sequence[Case]) -> str:
    """The split of the events that are scored; "unknown" where the store has none.

    Raises:
        InputError: when they are of several.
    """
    if "split" not in store.variables:
        return "unknown"
    by_event = dict(zip(store["event"].values.astype(str), store["split"].values.astype(str), strict=True))
    splits = sorted({by_event[case.event] for case in cases if case.event in by_event})
    if len(splits) > 1:
        raise InputError("the forecast mixes splits", got=" and ".join(splits), remedy="score one split at a time")
    return splits[0] if splits else "unknown"


def _windows(store: xr.Dataset, protocol: Protocol, split: str) -> frozenset[str] | None:
    if split == "unknown" or "missing_fraction" not in store.variables:
        return None
    try:
        windows = evaluation_windows(store, protocol, split)
    except InputError:  # its events are too short for the protocol's windows
        windows = []
    times = store["valid_time"].values.astype(TIME)
    events = store["event"].values.astype(str)
    cases = (Case(events[w.event], times[w.event, w.start + protocol.history - 1], times[:0]) for w in windows)
    return frozenset(map(str, cases))


def _without_window(store: xr.Dataset, split: str, windows: frozenset[str]) -> dict[str, str]:
    """An attribute with the number of the split's events that have no window; empty where each has one."""
    events = int((store["split"].values.astype(str) == split).sum())
    lacking = events - len({window.rpartition("@")[0] for window in windows})
    return {"without_window": f"{lacking} of {events} events have no window without missing frames"} if lacking else {}


def coverage(state: xr.Dataset) -> dict[str, str]:
    """Attributes about the cases of a state: their hash and, under a protocol, the share of it that they cover."""
    cases = sorted(state["case"].values.astype(str))
    said = {"case_list_hash": hashlib.sha256("\n".join(cases).encode()).hexdigest()}
    if "protocol_settings" not in state.attrs:
        return said
    try:
        protocol = Protocol.model_validate_json(state.attrs["protocol_settings"])
    except ValidationError as error:
        raise InputError("the protocol that the sums are of cannot be read", got=describe(error)) from error
    parts = []
    if "protocol_windows" in state.attrs:
        inside, whole = int(state["in_protocol"].sum()), int(state.attrs["protocol_windows"])
        windows = f"{inside} of {whole} windows of split {state.attrs['split']}"
        parts.append(windows + _more(len(cases) - inside) + (_why(state.attrs) if inside < whole else ""))
    # From a file lead times come as fractions of a minute, and so some nanoseconds off.
    leads = np.rint(state["lead_time"].values / np.timedelta64(1, "us")).astype(DURATION)
    inside = int(np.isin(leads, lead_times(protocol.cadence_minutes, protocol.lead)).sum())
    parts.append(f"{inside} of {protocol.lead} lead times" + _more(len(leads) - inside))
    return {**said, "coverage": "; ".join(parts)}


def _why(attrs: Mapping[str, Any]) -> str:
    reasons = [f"the others were not forecast{' or not observed' if 'scored' in attrs else ''}"]
    return f" ({'; '.join([*reasons, *([attrs['without_window']] if 'without_window' in attrs else [])])})"


def _more(others: int) -> str:
    return f" and {others} not of the protocol" if others else ""
