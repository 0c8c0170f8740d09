"""A picture of a page of `nowcast page`, at one place and time, for the README.

nowcast forecast predldm rmi_nomfb_20210704.nc rmi.nc --ensemble 20 --init 2021-07-04T17:00
nowcast page rmi.nc --store rmi_nomfb_20210704.nc --units mm/h --out rmi.html
python tests/benchmarks/screenshot.py rmi.html tests/benchmarks/page.png --place "50.65, 2.82" --frame 15
"""

import argparse
import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("page", type=Path)
parser.add_argument("out", type=Path)
parser.add_argument("--place", required=True, help="latitude, longitude")
parser.add_argument("--frame", type=int, required=True, help="number of the time on the slider, the first being 0")
parser.add_argument("--width", type=int, default=1260)
parser.add_argument("--height", type=int, default=950)
given = parser.parse_args()

with sync_playwright() as running:
    browser = running.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
    page = browser.new_page(viewport={"width": given.width, "height": given.height})
    page.goto(given.page.resolve().as_uri())
    page.wait_for_function("() => document.getElementById('onsets').textContent.length > 0")
    page.fill("#wanted", given.place)
    page.click("#go button")
    page.evaluate("n => { frame.value = n; frame.dispatchEvent(new Event('input')); }", given.frame)
    page.wait_for_timeout(1000)
    page.screenshot(path=given.out)
    browser.close()
