"""The bar of what takes long: shown by itself, before the first of its parts is done, and else not at all."""

import io
import time

import pytest
from rich.console import Console

from pipelines.store import progress as module


@pytest.fixture
def shown(monkeypatch):
    """What a terminal is shown."""
    text = io.StringIO()
    monkeypatch.setattr(module, "errors", Console(file=text, force_terminal=True, width=80))
    return text


def test_a_bar_is_shown_before_the_first_part_is_done(shown, monkeypatch):
    monkeypatch.setattr(module, "_SHOWN_AFTER_S", 0.01)
    end = time.monotonic() + 20
    with module.progress("reading", 3) as advance, module.progress("reading its parts", 7):
        while not ("0/3" in shown.getvalue() and "0/7" in shown.getvalue()):
            assert time.monotonic() < end
            time.sleep(0.02)
        advance()
    assert "1/3" in shown.getvalue()


def test_what_is_done_soon_shows_nothing(shown):
    with module.progress("reading", 3) as advance:
        advance()
    assert shown.getvalue() == ""
