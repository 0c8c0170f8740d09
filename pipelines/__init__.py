"""Raw radar archives to analysis-ready Zarr stores: h5py, dask, xarray, zarr; never torch."""

__version__ = "0.1.0"  # of the distribution sevir-nowcast, which holds pipelines and nowcast
