"""Our pages in the Airflow UI: the ways to what ops look at beside the DAGs."""

from __future__ import annotations

from typing import Any, ClassVar

from airflow.plugins_manager import AirflowPlugin

from zanc_pipeline.common.settings import load_settings


def _views() -> list[dict[str, Any]]:
    settings = load_settings()
    pages = {
        "Modelos (MLflow)": f"{settings.web_url(settings.mlflow)}/#/models",
        "Discador (API)": f"{settings.web_url(settings.dialer)}/openapi.json",
        "Localização (API)": f"{settings.web_url(settings.localization)}/openapi.json",
    }
    return [
        # Without a route of its own Airflow opens the page in a new tab, not in a frame.
        {"name": name, "href": href, "destination": "nav", "category": "browse"}
        for name, href in pages.items()
    ]


class ZancPages(AirflowPlugin):
    """Entries of the menu *Browse* that lead to MLflow, the dialer and localization."""

    name = "zanc_pages"
    external_views: ClassVar[list[dict[str, Any]]] = _views()
