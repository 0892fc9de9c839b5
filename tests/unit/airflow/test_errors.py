"""Our errors as Airflow's: one line, retried only when a retry can help."""

from __future__ import annotations

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from zanc_pipeline.airflow.errors import plain_errors
from zanc_pipeline.common.errors import ConfigError, UnavailableError


def test_a_part_that_is_down_is_retried() -> None:
    with pytest.raises(AirflowException, match="FTP at h:21 does") as raised, plain_errors():
        raise UnavailableError("FTP", "h:21")
    assert not isinstance(raised.value, AirflowFailException)


def test_a_wrong_configuration_is_not() -> None:
    with pytest.raises(AirflowFailException, match="line 3"), plain_errors():
        raise ConfigError("a.yaml: line 3")


def test_the_log_shows_no_second_traceback_and_no_personal_number() -> None:
    with pytest.raises(AirflowFailException) as raised, plain_errors():
        raise ConfigError("o CPF 12345678909 não serve")
    assert raised.value.__suppress_context__
    assert "12345678909" not in str(raised.value)
