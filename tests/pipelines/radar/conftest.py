"""Warnings that are said once per process are said anew in each test."""

import pytest

from pipelines.radar import cf, cf_mapping


@pytest.fixture(autouse=True)
def _nothing_said_yet():
    for said in (cf._say, cf._say_missing, cf_mapping._warn):
        said.cache_clear()
