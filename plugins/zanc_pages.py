"""Our pages in the Airflow UI, and the ways to what ops look at beside the DAGs."""

from __future__ import annotations

from typing import Any, ClassVar

from airflow.plugins_manager import AirflowPlugin

from zanc_pipeline.airflow.pages.lazy import LazyPages
from zanc_pipeline.common.settings import load_settings


def _views() -> list[dict[str, Any]]:
    settings = load_settings()
    pages = {
        "Modelos (MLflow)": f"{settings.web_url(settings.mlflow)}/#/models",
        "Discador (API)": f"{settings.web_url(settings.dialer)}/openapi.json",
        "Localização (API)": f"{settings.web_url(settings.localization)}/openapi.json",
    }
    reception = {
        "name": "Recepção",
        "href": "/zanc/recepcao",
        "destination": "nav",
        "category": "browse",
        "url_route": "recepcao",
    }
    return [
        reception,
        # Without a route of its own Airflow opens the page in a new tab, not in a frame.
        *(
            {"name": name, "href": href, "destination": "nav", "category": "browse"}
            for name, href in pages.items()
        ),
    ]


class ZancPages(AirflowPlugin):
    """The page *Recepção*, and entries of the menu *Browse* that lead to the other services."""

    name = "zanc_pages"
    fastapi_apps: ClassVar[list[dict[str, Any]]] = [
        {"app": LazyPages(), "url_prefix": "/zanc", "name": "zanc"}
    ]
    external_views: ClassVar[list[dict[str, Any]]] = _views()
