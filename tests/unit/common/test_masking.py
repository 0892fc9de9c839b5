import logging

import pytest

from zanc_pipeline.common.logging import MaskingFormatter
from zanc_pipeline.common.masking import mask_text


@pytest.mark.parametrize(
    "personal",
    [
        "52998224725",
        "529.982.247-25",
        "11987654321",
        "(11) 98765-4321",
        "1132654321",
        "5511987654321",
        "12.345.678/0001-95",
        "12.ABC.345/01DE-35",
    ],
)
def test_personal_numbers_are_masked_but_for_their_end(personal: str) -> None:
    text = mask_text(f"debtor {personal}, retry")
    assert personal not in text
    assert text == f"debtor {'*' * (len(personal) - 2)}{personal[-2:]}, retry"


@pytest.mark.parametrize(
    "harmless", ["delivery 12345", "2026-11-23", "port 5442", "20261123", "12:30:59"]
)
def test_other_numbers_stay(harmless: str) -> None:
    assert mask_text(harmless) == harmless


def test_the_formatter_masks_arguments_and_tracebacks() -> None:
    try:
        raise ValueError("bad CPF 52998224725")
    except ValueError:
        record = logging.getLogger("t").makeRecord(
            "t",
            logging.ERROR,
            __file__,
            1,
            "phone %s",
            ("11987654321",),
            __import__("sys").exc_info(),
        )
    text = MaskingFormatter("%(message)s").format(record)
    assert "52998224725" not in text
    assert "11987654321" not in text
    assert "ValueError" in text
