"""The application that the plugin mounts: every page of ours, behind Airflow's login."""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.core_api.security import get_user
from fastapi import Depends, FastAPI, HTTPException, Response

from zanc_pipeline.airflow.pages import campaigns, mailings, metrics, of_dag, reception
from zanc_pipeline.airflow.pages.answers import tell_errors
from zanc_pipeline.airflow.pages.places import PREFIX, STATIC
from zanc_pipeline.common import web


def pages() -> FastAPI:
    """The application, to be mounted under ``places.PREFIX``."""
    app = FastAPI(title="Zanc", docs_url=None, redoc_url=None, openapi_url=None)
    tell_errors(app)
    for part in (reception, campaigns, mailings, of_dag, metrics):
        app.include_router(part.router)

    @app.get(f"{STATIC.removeprefix(PREFIX)}/{{name}}", dependencies=[Depends(get_user)])
    def static(name: str) -> Any:
        """The look and the script of all pages."""
        found = web.asset(name)
        if found is None:
            raise HTTPException(404, "Não há este arquivo.")
        return Response(found.body, media_type=found.content_type, headers=web.asset_headers())

    return app
