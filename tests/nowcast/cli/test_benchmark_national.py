"""The benchmark of a whole composite, on small ones."""

import pytest

from nowcast.cli import benchmark_national
from nowcast.cli.benchmark import run_benchmark
from pipelines.errors import InputError
from pipelines.simulation.composite import simulate_composite


@pytest.fixture
def composite(tmp_path):
    return simulate_composite(tmp_path / "small.nc", rows=136, columns=130)


def test_an_ensemble_is_measured_on_a_file(composite):
    cost, said = benchmark_national.measured("steps", composite, 3)
    assert said.startswith("136 x 130 (") and cost.cpu > 0 and cost.wall > 0 and cost.memory > 0.1


def test_costs_per_member_stand_beside_those_of_pysteps(composite, monkeypatch):
    costs = {"steps": (2.0, 4.0, 1.0), "pysteps": (4.0, 16.0, 2.0)}

    def alone(device, measure, name, path, members):
        assert (device, measure, path, members) == ("cpu", benchmark_national.measured, composite, 3)
        return benchmark_national.NationalCost(*costs[name]), "136 x 130"

    monkeypatch.setattr("nowcast.forecasting.costs.alone", alone)
    table = benchmark_national.national(("steps", "pysteps"), 3, composite)
    rows = list(zip(*(column.cells for column in table.columns), strict=True))
    assert rows == [
        ("steps", "2.00 (0.50)", "4.00 (0.25)", "1.00 (0.50)"),
        ("pysteps", "4.00 (1.00)", "16.00 (1.00)", "2.00 (1.00)"),
    ]
    assert table.title.startswith("3 members of 136 x 130")


def test_a_file_is_of_national_alone(composite):
    with pytest.raises(InputError, match="the benchmark models reads no file; got"):
        run_benchmark("models", 2, source=composite)
