from datetime import datetime

import pytest
import yaml

from pipelines.errors import InputError
from pipelines.store.protocol import load_protocol

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


def test_an_event_is_in_the_split_of_its_place_among_sorted_ids():
    protocol = load_protocol("predldm-128-10-10")
    ids = ["S10", "R2", "S9", "R1", "S2", "R1", "S1"]  # six, in the order of text: R1 R2 S1 S10 S2 S9
    # The release's floor(0.6 * 6) = 3 and floor(0.8 * 6) = 4.
    expected = {"R1": "train", "R2": "train", "S1": "train", "S10": "val", "S2": "test", "S9": "test"}
    assert protocol.splits(ids) == expected
    assert [list(protocol.splits(map(str, range(n))).values()).count("train") for n in (1, 5, 9)] == [0, 3, 5]
    assert load_protocol("sevir-128-10-10").splits(ids) == {}
    with pytest.raises(InputError, match="gives no dates of splits"):
        protocol.split(datetime(2018, 6, 1))


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"id_shares": [0.6, 0.2]}, "id_shares or by val_from and test_from, not by both"),
        ({"id_shares": [0.6, 0.5], "val_from": None, "test_from": None}, "1 at most together"),
        ({"frames": 0}, "frames: "),
    ],
)
def test_rules_that_contradict(tmp_path, rule, said):
    content = {**load_protocol("sevir-128-10-10").model_dump(mode="json", exclude={"name"}), **rule}
    (tmp_path / "odd.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(InputError, match=said):
        load_protocol(str(tmp_path / "odd.yaml"))


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


def test_a_protocol_of_video_has_a_rate_instead_of_a_cadence_and_no_dates():
    kth = load_protocol("kth-128-10-10")
    assert (kth.cadence_minutes, kth.fps, kth.thresholds) == (0.04 / 60, 25, ())
    with pytest.raises(InputError, match="gives no dates of splits"):
        kth.split(datetime(2018, 6, 1))


def test_other_pictures_are_part_of_the_name_and_found_again_by_it():
    small = load_protocol("kth-128-10-10").of_pictures(64, 12.5, "square-rgb")
    assert (small.name, small.grid, small.fps) == ("kth-128-10-10@64,12.5,square-rgb", 64, 12.5)
    assert load_protocol(small.name) == small
    assert small.of_pictures(64, 12.5, "square-rgb") is small


@pytest.mark.parametrize("fps", [0, -1, "fast"])
def test_a_rate_that_is_none(tmp_path, fps):
    content = load_protocol("kth-128-10-10").model_dump(exclude={"name", "cadence_minutes"}) | {"fps": fps}
    (tmp_path / "odd.yaml").write_text(yaml.safe_dump({k: v for k, v in content.items() if v is not None and v != ()}))
    with pytest.raises(InputError, match=r"odd\.yaml"):
        load_protocol(str(tmp_path / "odd.yaml"))


def test_an_unknown_name():
    with pytest.raises(InputError, match=r"no configuration 'sevir-384'; expected .*sevir-384-13-12"):
        load_protocol("sevir-384")
