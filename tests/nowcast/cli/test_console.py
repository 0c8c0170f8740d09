"""How far a command is: lines where there is no terminal; and texts of files, which command none."""

import pytest

from nowcast.cli import console
from nowcast.cli.app import main
from nowcast.verification.tables import plain_table
from pipelines.errors import InputError
from pipelines.store.progress import PlainConsole


def test_without_a_terminal_a_line_every_half_minute_says_how_far_a_command_is(monkeypatch, capsys):
    now = iter(range(0, 1000, 10))  # each look at the clock is 10 s later; a line takes two
    monkeypatch.setattr(console, "monotonic", lambda: next(now))
    assert list(console.bar("verify, cases")(range(8))) == list(range(8))
    assert capsys.readouterr().err.splitlines() == ["verify, cases: 3 of 8", "verify, cases: 7 of 8"]
    assert list(console.bar("frames")(iter("ab"))) == ["a", "b"] and capsys.readouterr().err == ""


HOSTILE = "[/red] [link=x]y[/link] :fire: \x1b]0;title\x07 \x1b[2J \r \u202etxt \udcff"
SHOWN = "[/red] [link=x]y[/link] :fire: \\x1b]0;title\\x07 \\x1b[2J \\r \\u202etxt \\udcff"


def test_texts_of_files_are_shown_as_they_are_and_command_no_terminal(capsys):
    table = plain_table(HOSTILE, HOSTILE, [HOSTILE])
    table.add_row(HOSTILE, HOSTILE)
    for show in (console.tell, console.note, lambda text: PlainConsole(width=400).print(table)):
        show(HOSTILE)
        shown = "".join(capsys.readouterr())
        assert SHOWN in shown and not set("\x1b\x07\r\u202e") & set(shown)


def test_a_message_is_one_line_that_commands_no_terminal(monkeypatch, capsys):
    error = InputError(f"no\n event {HOSTILE}", got="\x1b[31mred\n")
    assert str(error) == "no event " + SHOWN.replace(" \\r", "") + "; got \\x1b[31mred"
    monkeypatch.setattr("sys.argv", ["nowcast", "info", "no\x1b[2Jsuch"])
    with pytest.raises(SystemExit):
        main()
    assert "no\\x1b[2Jsuch" in (said := capsys.readouterr().err) and "\x1b" not in said
