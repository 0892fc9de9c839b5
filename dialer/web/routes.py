"""The addresses of the pages."""

from __future__ import annotations

from typing import Any

from dialer.web import desk_pages, entrance, pages, wall_pages


def routes(shared: dict[str, Any]) -> list[tuple[Any, ...]]:
    """All of them; ``shared`` are the arguments of the handlers."""
    return [
        (r"/", entrance.Start, shared),
        (r"/entrar", entrance.Login, shared),
        (r"/sair", entrance.Logout, shared),
        (r"/mesa", desk_pages.DeskPage, shared),
        (r"/mesa/ao-vivo", desk_pages.DeskLive, shared),
        (r"/mesa/ordem", desk_pages.DeskOrder, shared),
        (r"/mesa/tabular", desk_pages.DeskTabulate, shared),
        (r"/painel", wall_pages.WallPage, shared),
        (r"/painel/ordem", wall_pages.WallOrder, shared),
        (r"/painel/central", wall_pages.WallCentral, shared),
        (r"/painel/escuta", wall_pages.WallListen, shared),
        (r"/painel/historico", wall_pages.WallPast, shared),
        (r"/painel/auditoria", wall_pages.WallAudit, shared),
        (rf"{pages.ASSETS}/([a-z]+\.[a-z]+)", pages.Common),
        (rf"{pages.OWN}/([a-z]+\.[a-z]+)", pages.Own),
    ]
