"""A browser, and a forecast to look at."""

import re
import shutil
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256

import numpy as np
import pytest
import xarray as xr

from pipelines.store.schema import open_store

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update"]  # fmt: skip


@pytest.fixture(scope="session")
def browser(tmp_path_factory) -> Iterator:
    """A system Chromium with a profile of its own."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no system browser: chromium, chromium-browser or google-chrome")
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright (pip install playwright)")
    with playwright.sync_playwright() as running:
        profile = tmp_path_factory.mktemp("profile")
        context = running.chromium.launch_persistent_context(profile, executable_path=found, args=FLAGS)
        yield context
        context.close()


@pytest.fixture
def stopped_clock(browser) -> Iterator:
    """Stops the clock of an open page, which then runs by `page.clock.run_for` only."""

    def stop(page) -> None:
        page.clock.install(time=0)
        page.clock.pause_at(1000)

    yield stop
    browser.clock.resume()


@pytest.fixture(scope="session")
def check_policy():
    """Checks that a page allows no more than its own script, its own style and the pictures that it holds."""

    def check(text: str) -> None:
        (said,) = re.findall(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', text)
        allowed = dict(part.strip().split(" ", 1) for part in said.split(";"))
        for tag in ("script", "style"):
            (own,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
            assert allowed.pop(f"{tag}-src") == f"'sha256-{b64encode(sha256(own.encode()).digest()).decode()}'"
        assert allowed == {name: "'none'" for name in ("default-src", "base-uri", "form-action")} | {"img-src": "data:"}
        assert text.index("Content-Security-Policy") < text.index("<title")
        assert not re.search(r"<[^>]*\s(style|on\w+)=", text)

    return check


@pytest.fixture(scope="session")
def hostile() -> str:
    """Text of a file that a page must show as text."""
    return "</script><script>alert('&\"')</script>"


@pytest.fixture(scope="session")
def forecast(small_store, hostile) -> xr.Dataset:
    """Two cases of three members that drift apart with lead time; the second event's name is hostile."""
    store = open_store(small_store).isel(event=[4, 5])
    drift = np.array([-60, 40, 60])[:, None, None, None] * np.linspace(0.2, 1, 5)[:, None, None]
    counts = np.clip(store["vil"].values[:, None, 10:15] + drift, 0, 254).astype("float32")
    leads = np.arange(1, 6) * np.timedelta64(300, "s")
    init = store["valid_time"].values[:, 9]
    places = {name: ("case", store[name].values) for name in ("proj", "corner_x", "corner_y")}
    coords = {
        "event": ("case", ["E4", hostile]),
        "init_time": ("case", init),
        "valid_time": (("case", "lead_time"), init[:, None] + leads),
        "lead_time": leads,
        "member": [0, 1, 2],
        "y": store["y"],
        "x": store["x"],
    }
    return xr.Dataset({"vil": (("case", "member", "lead_time", "y", "x"), counts)}, coords | places, {"model": hostile})


@pytest.fixture(scope="session")
def on_a_phone():
    """Show a page on a phone, and see that it needs no sideways scroll and has readable text, light or dark."""

    def show(page, scheme: str) -> None:
        page.set_viewport_size({"width": 375, "height": 700})
        page.emulate_media(color_scheme=scheme)
        page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
        assert page.evaluate("document.documentElement.scrollWidth") <= 375
        colours = page.evaluate(
            "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
        )
        text, ground = (np.mean([int(part) for part in colour[4:-1].split(",")]) for colour in colours)
        assert abs(text - ground) > 180 and (text > ground) == (scheme == "dark")

    return show
