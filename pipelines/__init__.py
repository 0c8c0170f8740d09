"""Raw radar archives to analysis-ready Zarr stores: h5py, dask, xarray, zarr; never torch."""
