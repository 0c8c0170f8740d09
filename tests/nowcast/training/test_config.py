import pytest

from nowcast.training.config import load_config
from pipelines.errors import InputError
from pipelines.store.protocol import load_protocol
from pipelines.store.settings import find_config


def test_configs_are_found_by_name_and_by_path():
    path = find_config("demo")
    assert load_config("demo") == load_config(str(path)) == load_config("demo.yaml")


def test_overrides_reach_nested_keys_as_yaml_values():
    config = load_config("demo", ["stages.diffusion.steps=7", "seed=3", "augment=true"])
    assert (config.stages["diffusion"].steps, config.seed, config.augment) == (7, 3, True)


@pytest.mark.parametrize(
    ("override", "word"),
    [("colour=blue", "colour"), ("stages.diffusion.speed=1", "speed"), ("seed", "key=value"), ("seed.x=1", "value")],
)
def test_a_wrong_override_is_one_line_that_names_it(override, word):
    with pytest.raises(InputError, match=word) as caught:
        load_config("demo", [override])
    assert "\n" not in str(caught.value)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(InputError, match="predldm-small"):
        load_config("no-such")
    with pytest.raises(InputError, match="sevir-128-10-10"):
        load_protocol("no-such")


def test_a_name_cannot_climb_out_of_the_folder():
    with pytest.raises(InputError):
        find_config("../pyproject")


def test_protocol_splits_by_date():
    from datetime import datetime

    protocol = load_protocol("sevir-128-10-10")
    dates = [datetime(2018, 12, 31, 23, 59), datetime(2019, 1, 1), datetime(2019, 5, 31), datetime(2019, 6, 1)]
    assert [protocol.split(date) for date in dates] == ["train", "val", "val", "test"]
