from datetime import datetime

import pytest

from pipelines.errors import InputError
from pipelines.protocol import load_protocol

DATES = {
    "sevir-128-10-10": ("2019-01-01", "2019-06-01"),
    "sevir-384-13-12": ("2019-01-01", "2019-06-01"),
    "sevir-lr-7-6": ("2019-03-19", "2019-06-01"),
    "sevir-128-5-20": ("2019-01-01", "2019-10-01"),
}


@pytest.mark.parametrize("name", DATES)
def test_an_event_is_in_the_split_of_its_date(name):
    protocol = load_protocol(name)
    val, test = (datetime.fromisoformat(date) for date in DATES[name])
    assert (protocol.split(datetime(2018, 6, 1)), protocol.split(val), protocol.split(test)) == ("train", "val", "test")
    assert protocol.thresholds == (16, 74, 133, 160, 181, 219)


def test_another_reducer_is_part_of_the_name_and_found_again_by_it():
    by_max = load_protocol("sevir-128-10-10").by("max")
    assert (by_max.name, by_max.reducer, by_max.grid) == ("sevir-128-10-10@max", "max", 128)
    assert load_protocol("sevir-128-10-10@max") == by_max
    assert by_max.by("mean").name == "sevir-128-10-10@mean"
    assert load_protocol("sevir-128-10-10").by("mean").name == "sevir-128-10-10"


def test_no_reduction_means_three_times_the_pixels():
    native = load_protocol("sevir-128-10-10").by("none")
    assert (native.grid, native.factor) == (384, 1)
    assert native.by("center").grid == 128
    assert load_protocol("sevir-384-13-12@mean").grid == 128


def test_an_unknown_name():
    with pytest.raises(InputError, match=r"no configuration 'sevir-384'; expected .*sevir-384-13-12"):
        load_protocol("sevir-384")
