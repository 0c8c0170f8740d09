"""SEVIR: catalog, HDF5 rows and the plan of a store."""
