"""Archives that are not on this machine: an S3 server on loopback, and fsspec's memory."""

import sys
import urllib.request
from pathlib import Path

import fsspec
import numpy as np
import pytest

from pipelines.errors import InputError
from pipelines.sevir import archive as archives
from pipelines.sevir.archive import Archive, locate
from pipelines.sevir.prepare import open_archive, prepare
from pipelines.store.schema import open_store


class Gate:
    """Stands before a WSGI server: notes each request, and answers some with 503."""

    def __init__(self, app):
        self.app = app
        self.requests: list[tuple[str, str, str]] = []
        self.bytes = 0
        self.failures = 0

    def __call__(self, environ, start_response):
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        self.requests.append((method, path, environ.get("HTTP_AUTHORIZATION", "")))
        if method == "GET" and path.endswith(".h5") and self.failures:
            self.failures -= 1
            start_response("503 Slow Down", [("Content-Length", "0")])
            return [b""]
        body = b"".join(self.app(environ, start_response))
        self.bytes += len(body) if method == "GET" else 0
        return [body]


@pytest.fixture
def gate(monkeypatch):
    """An S3 server on loopback, empty, where AWS_ENDPOINT_URL says."""
    server = pytest.importorskip("moto.server", reason="moto[server] is not installed")
    s3fs = pytest.importorskip("s3fs", reason="s3fs is not installed")
    moto = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    gate = moto._server.app = Gate(moto._server.app)
    host, port = moto.get_host_and_port()
    urllib.request.urlopen(urllib.request.Request(f"http://{host}:{port}/moto-api/reset", method="POST")).close()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    s3fs.S3FileSystem.clear_instance_cache()
    yield gate
    s3fs.S3FileSystem.clear_instance_cache()
    moto.stop()


def owner():
    """The server as the owner of the bucket sees it; what is put there anybody may read."""
    return fsspec.filesystem(
        "s3", key="test", secret="test", s3_additional_kwargs={"ACL": "public-read"}, skip_instance_cache=True
    )


@pytest.fixture
def bucket(archive, gate):
    """The tiny archive as bucket `sevir`, with another sensor and a large file that nobody asks for."""
    archive.add_file("vil/2018/large.h5", [f"L{number:03d}" for number in range(1000)], "2018-07-01T00:00:00", seed=4)
    archive.rows.append(archive.rows[0] | {"img_type": "ir107", "file_name": "ir107/2018/none.h5"})
    archive.write_catalog()
    files = owner()
    files.mkdir("sevir")
    files.put(str(archive.root) + "/", "s3://sevir/", recursive=True)
    gate.requests.clear()
    gate.bytes = 0
    return archive


def vil(store: Path) -> np.ndarray:
    return open_store(store)["vil"].values


@pytest.mark.parametrize("url", ["s3://sevir", "s3://sevir/data", "s3://sevir/data/"])
def test_a_bucket_gives_the_store_that_the_folder_gives(bucket, gate, tmp_path, url):
    choice = {"protocol": str(bucket.protocol), "events": ["A", "B", "C"]}
    prepare(bucket.root, tmp_path / "folder.zarr", **choice)
    assert prepare(url, tmp_path / "s3.zarr", **choice).written == 3
    for name in ("zarr.json", "vil/c/0/0/0/0", "event/c/0", "missing_fraction/c/0/0"):
        assert (tmp_path / "s3.zarr" / name).read_bytes() == (tmp_path / "folder.zarr" / name).read_bytes(), name
    assert not [request for request in gate.requests if request[2]]  # unsigned
    asked = {path for _, path, _ in gate.requests if path.endswith(".h5")}
    assert asked == {"/sevir/data/vil/2018/one.h5", "/sevir/data/vil/2019/two.h5"}


def test_a_bucket_opens_lazily(bucket, gate):
    lazy = open_archive("s3://sevir/data", protocol=str(bucket.protocol), reducer="none", events=["A", "C"])
    asked = len(gate.requests)
    assert np.array_equal(lazy["vil"].sel(event="C").fillna(255), bucket.counts["C"].transpose(2, 0, 1))
    assert {path for _, path, _ in gate.requests[asked:]} == {"/sevir/data/vil/2019/two.h5"}


def test_of_a_large_file_only_the_events_that_are_asked_for_are_read(bucket, gate, tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "_BLOCK_BYTES", 2**14)
    summary = prepare("s3://sevir/data", tmp_path / "s.zarr", protocol=str(bucket.protocol), events=["L400", "L401"])
    assert summary.written == 2
    catalog = (bucket.root / "CATALOG.csv").stat().st_size
    assert gate.bytes - catalog < (bucket.data / "vil/2018/large.h5").stat().st_size / 3


def test_a_server_that_fails_now_and_then_is_asked_again(bucket, gate, tmp_path):
    gate.failures = 2
    summary = prepare("s3://sevir/data", tmp_path / "s.zarr", protocol=str(bucket.protocol), events=["A", "C"])
    assert (summary.written, gate.failures) == (2, 0)


@pytest.mark.parametrize(("root", "tries"), [("memory://radar", 4), ("/radar", 1)])
def test_only_what_is_remote_is_tried_again_and_not_for_ever(monkeypatch, root, tries):
    monkeypatch.setattr(archives, "_PAUSES_S", (0.0, 0.0, 0.0))
    left = [OSError()] * (tries - 1)

    def fails():
        if left:
            raise left.pop()
        return "done"

    assert Archive(root).trying(fails) == "done"
    left = [OSError("last")] + [OSError()] * (tries - 1)
    with pytest.raises(OSError, match="last"):
        Archive(root).trying(fails)


@pytest.mark.parametrize("url", ["s3://sevir/nowhere", "s3://no-such-bucket/data"])
def test_no_such_folder_in_the_bucket(bucket, tmp_path, url):
    with pytest.raises(InputError, match=f"no archive at {url}"):
        prepare(url, tmp_path / "s.zarr")


def test_a_file_that_the_bucket_lacks(bucket, tmp_path):
    owner().rm("s3://sevir/data/vil/2019/two.h5")
    choice = {"protocol": str(bucket.protocol), "events": ["A", "C"]}
    with pytest.raises(InputError, match=r"event C: no file s3://sevir/data/vil/2019/two\.h5"):
        prepare("s3://sevir/data", tmp_path / "s.zarr", **choice)
    summary = prepare("s3://sevir/data", tmp_path / "s.zarr", **choice, skip_bad=True)
    assert [reject.event for reject in summary.rejects] == ["C"]


def test_no_server_is_one_line(monkeypatch, tmp_path):
    s3fs = pytest.importorskip("s3fs")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(InputError, match="s3://sevir/data cannot be reached"):
        prepare("s3://sevir/data", tmp_path / "s.zarr")
    s3fs.S3FileSystem.clear_instance_cache()


def test_any_fsspec_url(archive, tmp_path):
    files = fsspec.filesystem("memory")
    files.put(str(archive.root) + "/", "/radar/", recursive=True)
    prepare(archive.root, tmp_path / "folder.zarr", protocol=str(archive.protocol))
    prepare("memory://radar", tmp_path / "memory.zarr", protocol=str(archive.protocol))
    assert np.array_equal(vil(tmp_path / "memory.zarr"), vil(tmp_path / "folder.zarr"), equal_nan=True)
    prepare(f"file://{archive.root}", tmp_path / "file.zarr", protocol=str(archive.protocol))
    assert np.array_equal(vil(tmp_path / "file.zarr"), vil(tmp_path / "folder.zarr"), equal_nan=True)


def test_without_s3fs_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, "s3", raising=False)
    with pytest.raises(InputError, match=r"cannot be opened; .*pip install s3fs"):
        locate("s3://sevir/data", None)
    with pytest.raises(InputError, match="cannot be opened"):
        locate("nonsense://sevir/data", None)


@pytest.mark.parametrize("name", ["../x.h5", "vil/../../x.h5", "/etc/passwd", "s3://other/x.h5", "a::s3://b"])
def test_a_name_must_stay_below_the_url(name):
    with pytest.raises(InputError, match="leaves the archive"):
        Archive("s3://sevir/data").check_name(name, "A")
    Archive("s3://sevir/data").check_name("vil/2018/one.h5", "A")
