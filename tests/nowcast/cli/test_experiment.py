"""`nowcast experiment` as it is typed."""

import pytest


def test_the_list_names_every_experiment_and_how_long_it_takes(nowcast):
    code, text, _ = nowcast("experiment", "--list")
    lines = text.splitlines()
    assert code == 0 and len([line for line in lines if line.startswith(("table", "figure", "budget"))]) == 16
    assert any(line.startswith("table6 ") and "MSE and MAE" in line for line in lines)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "nothing to run; expected NAME --store STORE --out DIR; see --list for the names"),
        (["table7", "--store", "S", "--out", "O"], "no configuration 'table7'"),
        (
            ["table1", "--store", "S", "--out", "O", "--scale", "huge"],
            "expected a YAML file or one of paper, small, tiny",
        ),
        (["table1", "--store", "S", "--out", "O", "--budget", "0"], "a budget is a number of minutes; got 0.0"),
        (["table1", "--store", "S", "--out", "O"], "S"),
    ],
)
def test_wrong_use_is_one_line(nowcast, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    code, text, line = nowcast("experiment", *words)
    assert (code, text, line.count("\n")) == (2, "", 1) and said in line
    assert not list(tmp_path.iterdir())


def test_a_store_without_a_test_split_or_two_with_one_are_refused(nowcast, small_store, tmp_path):
    twice = nowcast("experiment", "table1", "--store", small_store, "--store", small_store, "--out", tmp_path / "o")
    assert twice[0] == 2 and "an experiment scores the test split of one store; got 2 of 2 stores" in twice[2]


def test_outputs_do_not_go_into_a_store(nowcast, small_store):
    code, _, line = nowcast("experiment", "table1", "--store", small_store, "--out", small_store / "out")
    assert code == 2 and "table1.md lies inside the input" in line and not (small_store / "out").exists()
