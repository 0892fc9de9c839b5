"""The figures for Prometheus: for who has the token ``var/secrets/metrics_token``, nobody else."""

from __future__ import annotations

import hmac
from datetime import UTC, datetime

from fastapi import APIRouter, HTTPException, Request, Response

from zanc_pipeline.airflow import figures
from zanc_pipeline.airflow.pages.access import settings
from zanc_pipeline.common.exposition import CONTENT_TYPE, render

router = APIRouter()


@router.get("/metrics")
def metrics(request: Request) -> Response:
    """All figures of ``zanc_pipeline.airflow.figures``."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    # Nobody without a token makes the secret be read.
    if scheme != "Bearer" or not hmac.compare_digest(
        token.encode(), settings().secret("metrics_token").encode()
    ):
        raise HTTPException(401, "Falta o token das métricas.", {"WWW-Authenticate": "Bearer"})
    text = render(figures.families(settings(), datetime.now(UTC)))
    return Response(text, headers={"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"})
