"""The command line in this process: no command of these tests waits for a new interpreter to import its libraries."""

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from unittest import mock

import pytest

from nowcast.cli import app


@pytest.fixture(scope="session")
def nowcast():
    """Runs a command line; gives its exit code, standard output and standard error."""

    def run(*words):
        out, err = io.StringIO(), io.StringIO()
        typed = mock.patch.object(sys, "argv", ["nowcast", *map(str, words)])
        with redirect_stdout(out), redirect_stderr(err), typed, pytest.raises(SystemExit) as stopped:
            app.main()
        return stopped.value.code or 0, out.getvalue(), err.getvalue()

    return run
