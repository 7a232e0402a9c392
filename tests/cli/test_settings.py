from __future__ import annotations

from pathlib import Path

import pytest

from genoci.errors import UsageError
from genoci.settings import settle, source_date_epoch


def test_an_option_wins_over_the_environment_and_that_over_the_default() -> None:
    environment = {"GENOCI_LAYOUT": "env-layout", "GENOCI_STATE": "env-state", "HOME": "/home/me"}
    assert settle(environment, layout="l", state="s")[:2] == ("l", "s")
    assert settle(environment)[:2] == ("env-layout", "env-state")
    assert settle({"HOME": "/home/me"})[:2] == ("oci", "/home/me/.local/share/genoci")


def test_an_empty_variable_is_not_set() -> None:
    environment = {"GENOCI_LAYOUT": "", "GENOCI_STATE": "", "XDG_DATA_HOME": "", "HOME": "/h"}
    assert settle(environment) == settle({"HOME": "/h"})


def test_xdg_data_home_is_heeded_if_it_is_absolute() -> None:
    assert settle({"XDG_DATA_HOME": "/data", "HOME": "/h"}).state == Path("/data/genoci")
    assert settle({"XDG_DATA_HOME": "data", "HOME": "/h"}).state == Path("/h/.local/share/genoci")


def test_an_empty_option_is_an_error() -> None:
    with pytest.raises(UsageError, match="empty"):
        settle({"HOME": "/h"}, layout="")


@pytest.mark.parametrize(("text", "seconds"), [("0", 0), ("1700000000", 1700000000), ("007", 7)])
def test_source_date_epoch_is_seconds(text: str, seconds: int) -> None:
    assert source_date_epoch({"SOURCE_DATE_EPOCH": text}) == seconds
    assert source_date_epoch({}) is None


@pytest.mark.parametrize("text", ["", " 1", "-1", "1.5", "1e9", "now", "²", "9" * 12, "9" * 5000])
def test_a_source_date_epoch_that_is_no_time_is_an_error(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        source_date_epoch({"SOURCE_DATE_EPOCH": text})
    assert caught.value.where == "SOURCE_DATE_EPOCH"
    assert caught.value.exit_status == 2
