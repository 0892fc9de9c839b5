"""Where each thing has its page: the only module that knows the pages' addresses.

Inside the Airflow UI a page stands in a frame below ``/plugin/<route>``, which carries the page's
own address along; ``framed`` is the address that a person is sent to.
"""

from __future__ import annotations

from urllib.parse import quote, urlencode

PREFIX = "/zanc"
STATIC = f"{PREFIX}/estatico"

RECEPTION, CAMPAIGN, MAILING, TRAINING = "reception", "campaign", "mailing", "training"
"""First words of the DAGs' names; what follows ``__`` is a convênio, a campaign or a model."""

DECISIONS = "decision__entregas"

_ROUTES = {"recepcao": "recepcao", "campanhas": "campanhas", "mailings": "mailings"}


def inbox(**chosen: object) -> str:
    """The deliveries: of a day (``dia``), a ``convenio``, a ``situacao``."""
    return _with(f"{PREFIX}/recepcao", chosen)


def delivery(convenio: str, delivery_id: int, what: str = "") -> str:
    """One delivery; ``what`` is its report, its rejected rows or a change of it."""
    address = f"{PREFIX}/recepcao/{RECEPTION}__{quote(convenio, safe='')}/{delivery_id}"
    return f"{address}/{what}" if what else address


def campaigns() -> str:
    """All campaigns."""
    return f"{PREFIX}/campanhas"


def campaign(name: str, campaign_id: str, what: str = "") -> str:
    """One campaign; ``what`` is an order to it."""
    address = f"{PREFIX}/campanhas/{CAMPAIGN}__{quote(name, safe='')}/{quote(campaign_id, safe='')}"
    return f"{address}/{what}" if what else address


def mailings(**chosen: object) -> str:
    """The mailings, all or those of a ``campanha``."""
    return _with(f"{PREFIX}/mailings", chosen)


def mailing(name: str, mailing_id: str, what: str = "") -> str:
    """One mailing of the campaign ``name``."""
    address = f"{PREFIX}/mailings/{MAILING}__{quote(name, safe='')}/{quote(mailing_id, safe='')}"
    return f"{address}/{what}" if what else address


def of_dag(dag_id: str) -> str:
    """The page of whatever a DAG does."""
    kind, _, name = dag_id.partition("__")
    if kind == RECEPTION:
        return inbox(convenio=name)
    if dag_id == DECISIONS:
        return inbox(dia="todos", situacao="abertas")
    if kind == CAMPAIGN:
        return campaigns()
    if kind == MAILING:
        return mailings(campanha=name)
    return f"{PREFIX}/dag/{quote(dag_id, safe='')}"


def of_run(dag_id: str, run_id: str) -> str:
    """The page of what a run of a DAG is about."""
    return _with(f"{PREFIX}/dag/{quote(dag_id, safe='')}", {"run": run_id})


def framed(address: str) -> str:
    """The address of one of our pages inside the Airflow UI."""
    route = address.removeprefix(f"{PREFIX}/").partition("/")[0].partition("?")[0]
    return f"/plugin/{_ROUTES.get(route, 'recepcao')}{address}"


def dag(dag_id: str, run_id: str = "") -> str:
    """A DAG, or a run of it, in the Airflow UI."""
    address = f"/dags/{quote(dag_id, safe='')}"
    return f"{address}/runs/{quote(run_id, safe='')}" if run_id else address


def _with(address: str, chosen: dict[str, object]) -> str:
    query = urlencode({name: value for name, value in chosen.items() if value not in (None, "")})
    return f"{address}?{query}" if query else address
