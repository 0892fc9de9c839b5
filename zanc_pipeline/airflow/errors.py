"""Our errors as Airflow's: one line each, retried only when a retry can help."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from zanc_pipeline.common.errors import ZancError
from zanc_pipeline.common.masking import mask_text


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn a ZancError into one line in the task's log.

    A part that does not answer becomes an AirflowException, which the task's retries repeat; a
    wrong configuration becomes an AirflowFailException, which fails at once.
    """
    try:
        yield
    except ZancError as error:
        message = mask_text(str(error))
        if error.retriable:
            raise AirflowException(message) from None
        raise AirflowFailException(message) from None
