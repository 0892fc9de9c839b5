"""Our pages in the Airflow UI, and the ways to what people look at beside the DAGs."""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import quote

from airflow.plugins_manager import AirflowPlugin

from zanc_pipeline.airflow.pages import places
from zanc_pipeline.airflow.pages.lazy import LazyPages
from zanc_pipeline.common.settings import load_settings

# Lines on 24 × 24: a tray, a headset, a list.
_ICONS = {
    "recepcao": "M4 13h4l2 3h4l2-3h4M4 13l3-8h10l3 8v6H4z",
    "campanhas": "M4 14v-2a8 8 0 0 1 16 0v2M4 14h3v5H4zM17 14h3v5h-3z",
    "mailings": "M9 6h11M9 12h11M9 18h11M5 6h.01M5 12h.01M5 18h.01",
}


def _icon(name: str, colour: str) -> str:
    drawn = (
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24' fill='none' "
        f"stroke='{colour}' stroke-width='2' stroke-linecap='round' stroke-linejoin='round'>"
        f"<path d='{_ICONS[name]}'/></svg>"
    )
    return "data:image/svg+xml," + quote(drawn)


def _views() -> list[dict[str, Any]]:
    settings = load_settings()
    own = {
        "Recepção": ("recepcao", places.inbox()),
        "Campanhas": ("campanhas", places.campaigns()),
        "Mailings": ("mailings", places.mailings()),
    }
    others = {
        "Painel do supervisor": f"{settings.web_url(settings.dialer)}/painel",
        "Modelos (MLflow)": settings.mlflow_page("models"),
        "Discador (API)": f"{settings.web_url(settings.dialer)}/openapi.json",
        "Localização (API)": f"{settings.web_url(settings.localization)}/openapi.json",
    }
    return [
        *(
            {
                "name": name,
                "href": href,
                "destination": "nav",
                "nav_top_level": True,
                "url_route": route,
                "icon": _icon(route, "#3f3f46"),
                "icon_dark_mode": _icon(route, "#d4d4d8"),
            }
            for name, (route, href) in own.items()
        ),
        # A tab beside those of the DAG and of its runs: the page of what it does.
        *(
            {
                "name": "Página",
                "href": f"{places.PREFIX}/dag/{{DAG_ID}}{run}",
                "destination": destination,
                "url_route": f"pagina-{destination.replace('_', '-')}",
            }
            for destination, run in (("dag", ""), ("dag_run", "?run={RUN_ID}"))
        ),
        # Without a route of its own Airflow opens the page in a new tab, not in a frame.
        *(
            {"name": name, "href": href, "destination": "nav", "category": "browse"}
            for name, href in others.items()
        ),
    ]


class ZancPages(AirflowPlugin):
    """*Recepção*, *Campanhas* and *Mailings*, a tab on each DAG, and the way to other services."""

    name = "zanc_pages"
    fastapi_apps: ClassVar[list[dict[str, Any]]] = [
        {"app": LazyPages(), "url_prefix": places.PREFIX, "name": "zanc"}
    ]
    external_views: ClassVar[list[dict[str, Any]]] = _views()
