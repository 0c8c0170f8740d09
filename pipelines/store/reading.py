"""Reads that fail say so in one line, also those of pixels that are read long after their file was opened."""

from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from xarray.backends import BackendArray
from xarray.core import indexing

from pipelines.errors import InputError
from pipelines.store.inside import check_inside

DAMAGED = "it may be damaged: remove it and make it again"
_UNREADABLE = "it may be damaged, or open for writing elsewhere"  # of a file, which may be the only one


@contextmanager
def readable(path: str | Path) -> Iterator[None]:
    """Say in one line that a file or store cannot be read, whatever its format's libraries raise.

    Raises:
        InputError: when it cannot.
    """
    try:
        yield
    except InputError:
        raise
    except MemoryError as error:
        raise InputError(f"{path} does not fit into memory", got=error) from error
    except Exception as error:  # codecs and formats have exceptions of their own
        got = f"{type(error).__name__}: {error}"
        remedy = DAMAGED if Path(path).is_dir() else _UNREADABLE
        raise InputError(f"{path} cannot be read", got=got, remedy=remedy) from error


def open_dataset(path: Path, **options: Any) -> xr.Dataset:
    """A NetCDF file or a Zarr folder, opened lazily by xarray.

    HDF5 cannot open a file that is open elsewhere in the process, where a text of it was read through a handle that was
    closed since (HDFGroup/hdf5, issue 5359): such a file is read into memory.

    Args:
        path: The file or folder.
        options: Those of `xarray.open_dataset`.

    Raises:
        InputError: when it has its reader read other files (see `pipelines.store.inside`).
    """
    check_inside(path)
    if path.is_dir():
        return xr.open_dataset(path, engine="zarr", consolidated=False, **options)
    try:
        return xr.open_dataset(path, **options)
    except RuntimeError as error:
        try:
            return xr.open_dataset(path.read_bytes(), engine="netcdf4", **options)
        except (OSError, RuntimeError):
            raise error from None


class Pixels:
    """The pixels of a store on disk as they are, uint8, read when indexed.

    Attributes:
        array: The array itself, to write to.
    """

    def __init__(self, path: Path, array: zarr.Array):
        self._path, self.array = path, array

    @property
    def shape(self) -> tuple[int, ...]:
        """As `array` has it."""
        return self.array.shape

    def __getitem__(self, part: Any) -> np.ndarray:
        """A part of the pixels.

        Raises:
            InputError: when the store is damaged there.
        """
        with readable(self._path):
            return np.asarray(self.array[part])


Convert = Callable[[np.ndarray], np.ndarray]


def guarded(dataset: xr.Dataset, path: str | Path, convert: Mapping[str, Convert] = {}) -> xr.Dataset:
    """The same lazy dataset, whose variables raise InputError in reading where the file at `path` is damaged.

    Args:
        dataset: The dataset.
        path: Its name in messages.
        convert: Functions that convert the values of variables, by name, when they are read; to float32.
    """
    return dataset.assign(
        {name: _guarded(array, path, convert.get(str(name))) for name, array in dataset.data_vars.items()}
    )


def _guarded(
    array: xr.DataArray, path: str | Path, convert: Convert | None
) -> tuple[tuple[Hashable, ...], Any, dict, dict]:
    lazy = indexing.LazilyIndexedArray(_Guarded(array.variable, path, convert))
    return array.dims, lazy, array.attrs, array.encoding


class _Guarded(BackendArray):
    def __init__(self, variable: xr.Variable, path: str | Path, convert: Convert | None):
        self._variable, self._path, self._convert = variable, path, convert
        self.shape, self.dtype = variable.shape, np.dtype("float32") if convert else variable.dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)

    def _read(self, key: tuple) -> np.ndarray:
        with readable(self._path):
            values = self._variable[key].values
        return self._convert(values) if self._convert else values
