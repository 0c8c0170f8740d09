"""Ways to spoil an input: its bytes, its text, its JSON, the objects of its HDF5, the variables of its dataset."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

Rng = np.random.Generator
Mutator = Callable[[Path, Rng], None]

DEEP = "[" * 20_000
NASTY: list[Any] = [
    None, True, "", "nan", "inf", "-inf", "1e300", "9" * 5000, -1, 0, 1, 2**31, 2**63, -(2**70), 1e308, float("nan"),
    float("inf"), [], {}, [[]], {"a": {}}, "\0", "\x1b[2J", "\u202eabc", "<script>alert(1)</script>", "$\\frac$",
    "[/red]", "../../../etc/passwd", "/etc/passwd", "x::http://127.0.0.1:9/", "file:///etc/passwd", "2019-13-45",
    "0001-01-01", "99999-01-01", "+proj=merc +nadgrids=/etc/passwd", "+proj=laea +lat_0=1e9", "EPSG:99999999",
    "a" * 100_000, "é" * 50, "%s%s%n", "predldm", "os:system", "null", "~", "*", "!!python/object:os.system",
]  # fmt: skip


def pick(rng: Rng, options: list) -> Any:
    """One of some options."""
    return options[int(rng.integers(len(options)))]


def a_file(path: Path, rng: Rng) -> Path:
    """The path, or any file in the folder that it is."""
    return pick(rng, sorted(file for file in path.rglob("*") if file.is_file())) if path.is_dir() else path


def bytes_of(path: Path, rng: Rng) -> None:
    """Flip, cut, repeat, insert or replace bytes."""
    file = a_file(path, rng)
    content = bytearray(file.read_bytes())
    size = max(len(content), 1)
    start, length = int(rng.integers(size)), int(rng.integers(1, 1 + min(size, 200)))
    way = int(rng.integers(9))
    if way <= 2:
        for place in rng.integers(0, len(content), int(rng.integers(1, 20))) if content else []:
            content[place] ^= 1 << int(rng.integers(8))
    elif way == 3:
        del content[start:]
    elif way == 4:
        del content[start : start + length]
    elif way == 5:
        content[start:start] = rng.bytes(length)
    elif way == 6:
        content[start : start + length] = bytes([pick(rng, [0, 255])]) * length
    elif way == 7:
        content[start : start + 4] = struct.pack(pick(rng, ["<I", ">I"]), pick(rng, [0, 1, 2**31, 2**32 - 1, 2**16]))
    else:
        content = bytearray(pick(rng, [b"", b"\0", b"GRIB", b"PK\3\4", b"\x89HDF\r\n\x1a\n", b"CDF\1", bytes(10_000)]))
    file.write_bytes(content)


def text(path: Path, rng: Rng) -> None:
    """Exchange fields and lines of text."""
    file = a_file(path, rng)
    lines = file.read_text(errors="replace").splitlines() or [""]
    place = int(rng.integers(len(lines)))
    way = int(rng.integers(5))
    if way <= 1:
        signs = [sign for sign in (",", ": ", ":", " ") if sign in lines[place]] or [","]
        fields = lines[place].split(sign := pick(rng, signs))
        fields[int(rng.integers(len(fields)))] = str(pick(rng, NASTY))
        lines[place] = sign.join(fields)
    elif way == 2:
        del lines[place]
    elif way == 3:
        lines.insert(int(rng.integers(len(lines) + 1)), pick(rng, [lines[place], '"', DEEP, str(pick(rng, NASTY))]))
    else:
        lines = [pick(rng, [line, line, line, line + ",", line.replace(",", ";")]) for line in lines]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8", errors="surrogateescape")


def yaml(path: Path, rng: Rng) -> None:
    """Text of YAML that explodes, is no mapping, or nests without end."""
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60))
    itself, own = "&a [*a]\n", path.read_text()
    whole = [bomb, bomb + own, own + bomb, itself, f"network: {itself}", DEEP, "a: " + DEEP, "{a: " * 5000, "- 1",
             "a: !!python/object/apply:os.system [ls]", "? [a]\n: b", "? {a: 1}\n: b", "a: 2020-13-45", "1: 2", "~: 1",
             "a: !!int x", "a: !!binary '*'", "<<: 1", "a: !!timestamp x", f"a: {'9' * 5000}", "%YAML 9", "---\n---\n",
             f"{own}model: &x {{y: *x}}\n", own.replace("unet", "[unet]"), own.replace("unet", "../unet")]  # fmt: skip
    path.write_text(pick(rng, whole))


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every container of a JSON value with every key or index in it."""
    inner = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    return [(value, key) for key, _ in inner] + [place for _, one in inner for place in places(one)]


def spoilt(value: Any, rng: Rng) -> Any:
    """A JSON value with one part exchanged, taken out or added."""
    found = places(value)
    if not found or rng.random() < 0.05:
        return pick(rng, NASTY)
    container, key = pick(rng, found)
    way = int(rng.integers(4))
    if way == 0:
        del container[key]
    elif way == 1 and isinstance(container, dict):
        container[str(pick(rng, NASTY))] = container[key]
    else:
        container[key] = pick(rng, NASTY)
    return value


def json_text(path: Path, rng: Rng) -> None:
    """Exchange parts of a JSON file, or nest it without end."""
    files = [path] if path.is_file() else sorted([*path.rglob("*.json"), *path.rglob("*.jsonl")])
    file = pick(rng, files)
    if rng.random() < 0.1:
        file.write_text(DEEP)
        return
    file.write_text(json.dumps(spoilt(json.loads(file.read_text()), rng)))


def safetensors(path: Path, rng: Rng) -> None:
    """Exchange parts of the header, also of the configuration within it, or its length."""
    content = path.read_bytes()
    (length,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8 : 8 + length])
    if rng.random() < 0.7:
        name = pick(rng, ["config", "config", "stages"])
        inner = json.loads(header["__metadata__"][name])
        header["__metadata__"][name] = DEEP if rng.random() < 0.05 else json.dumps(spoilt(inner, rng))
    else:
        header = spoilt(header, rng)
    said = json.dumps(header).encode()
    size = len(said) if rng.random() < 0.9 else pick(rng, [0, 1, 2**40, 2**63, len(said) + 1, len(said) - 1])
    path.write_bytes(struct.pack("<Q", size) + said + content[8 + length :])


def hdf5(path: Path, rng: Rng) -> None:
    """Take out, exchange or link objects and attributes of HDF5, of NetCDF too."""
    names: list[str] = []
    with h5py.File(path, "r+") as file:
        file.visit(names.append)
        name = pick(rng, names)
        if rng.random() < 0.5:
            owner = pick(rng, [file, *(file[one] for one in names if file[one].attrs)])
            key = pick(rng, [*owner.attrs, "units", "coordinates", "_FillValue", "scale_factor", "dtype", "kind"])
            value = pick(rng, ["", "x", "nan", np.nan, -1, 0, 2**40, np.zeros(0), np.zeros((2, 2)), "a" * 50_000,
                               np.array(["a", "b"], "S"), h5py.Empty("f"), b"\xff\xfe", "days since 1-1-1", 1e300,
                               "+proj=merc +nadgrids=/etc/passwd", "<script>", "../x", "\x1b[2J"])  # fmt: skip
            if rng.random() < 0.3 and key in owner.attrs:
                del owner.attrs[key]
            else:
                owner.attrs[key] = value
            return
        del file[name]
        parent, shape = name.rpartition("/")[0] or "/", pick(rng, [(), (0,), (1,), (2, 3), (2, 16, 16, 6), (8, 8)])
        way = int(rng.integers(8))
        if way == 0 or parent not in file:
            return
        if way == 1:
            file[name] = h5py.SoftLink(pick(rng, ["/nowhere", "/" + name, "/"]))
        elif way == 2:
            file[name] = h5py.ExternalLink("/etc/passwd", "/")
        elif way == 3:
            file.create_dataset(name, (100,), "u1", external=[("/etc/passwd", 0, 100)])
        elif way == 4:
            file.create_group(name)
        elif way == 5:
            huge = pick(rng, [(2**40,), (2**20, 2**20), (2, 2**15, 2**15, 6), (2**31, 16, 16, 6), (60_000, 60_000)])
            file.create_dataset(name, huge, "u1", chunks=tuple(min(side, 16) for side in huge), compression="gzip")
        elif way == 6:
            file[name] = np.zeros(shape, pick(rng, ["f8", "i2", "S3", "c8", "?", [("a", "i4")], "u8"]))
        else:
            filters = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            filters.set_chunk((4, 4))
            filters.set_filter(32_000, h5py.h5z.FLAG_OPTIONAL)
            space = h5py.h5s.create_simple((8, 8))
            h5py.h5d.create(file.id, name.encode(), h5py.h5t.NATIVE_UINT8, space, filters)


def dataset(path: Path, rng: Rng) -> None:
    """Exchange, rename, cut or turn variables and dimensions of a dataset, and write it anew."""
    import shutil

    one = xr.open_dataset(path, engine="zarr" if path.is_dir() else None, decode_cf=False).load()
    one.close()
    name = pick(rng, [*map(str, one.variables)])
    dim = pick(rng, [*map(str, one.dims)])
    ways: list[Callable[[], xr.Dataset]] = [
        lambda: one.drop_vars(name),
        lambda: one.rename({name: pick(rng, ["x2", "vil", "time", "é"])}),
        lambda: one.isel({dim: slice(0, int(rng.integers(0, 2)))}),
        lambda: one.isel({dim: slice(None, None, -1)}),
        lambda: one.transpose(*rng.permutation(list(one.dims))),
        lambda: one.assign({name: one[name].astype(pick(rng, ["float64", "int8", "uint8", "str", "bool"]))}),
        lambda: one.assign({name: one[name] * pick(rng, [np.nan, np.inf, 0, -1, 1e30])}),
        lambda: one.assign({name: ("other", np.zeros(3))}),
        lambda: one.assign({name: one[name].assign_attrs({pick(rng, ["units", "calendar", "standard_name", "dtype",
            "scale_factor", "_FillValue", "grid_mapping", "coordinates"]): pick(rng, ["", "days since 2000-01-01",
            "360_day", "noleap", "x", 0, -1.5, "kelvin", "mm/h", "dBZ", "minutes", "1e300 s", "nanoseconds"])})}),
        lambda: one.rename({dim: pick(rng, ["time", "member", "x3", "channel", "case"])}),
        lambda: one.assign_attrs({pick(rng, ["title", "kind", "model", "config", "quality", "schema", "data_range",
            "units", "quantity", "protocol_settings", "summary_of"]): pick(rng, ["x", 3, "video", "{", "[" * 9999,
            "pysteps-generated nowcast", "\x1b[2J</script>", "$\\frac$"])}),
        lambda: xr.concat([one, one], dim) if dim in one.dims else one,
    ]  # fmt: skip
    try:
        made = pick(rng, ways)()
        fresh = path.with_name("fresh" + path.suffix)
        if path.is_dir():
            made.drop_encoding().to_zarr(fresh, mode="w", consolidated=False)
            shutil.rmtree(path)
        else:
            made.drop_encoding().to_netcdf(fresh)
        fresh.replace(path)
    except Exception:  # a change that cannot be written is no input
        bytes_of(path, rng)


def store(path: Path, rng: Rng) -> None:
    """Take out files of a store, or put links, pipes and folders in their place."""
    import os
    import shutil

    file = a_file(path, rng)
    file.unlink()
    way = int(rng.integers(5))
    if way == 1:
        file.symlink_to(pick(rng, ["/etc/passwd", "../" * 30 + "etc/passwd", file.name, "/dev/zero", "zarr.json"]))
    elif way == 2:
        os.mkfifo(file)
    elif way == 3:
        file.mkdir()
    elif way == 4 and file.parent != path:
        shutil.rmtree(file.parent)
        file.parent.symlink_to(pick(rng, ["/etc", "..", "."]))
