"""How far a command is: lines where there is no terminal."""

from nowcast.cli import console


def test_without_a_terminal_a_line_every_half_minute_says_how_far_a_command_is(monkeypatch, capsys):
    now = iter(range(0, 1000, 10))  # each look at the clock is 10 s later; a line takes two
    monkeypatch.setattr(console, "monotonic", lambda: next(now))
    assert list(console.bar("verify, cases")(range(8))) == list(range(8))
    assert capsys.readouterr().err.splitlines() == ["verify, cases: 3 of 8", "verify, cases: 7 of 8"]
    assert list(console.bar("frames")(iter("ab"))) == ["a", "b"] and capsys.readouterr().err == ""
