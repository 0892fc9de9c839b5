"""The assets that join the DAGs: what arrived, what was loaded, what is to be called.

An asset event is only a wake-up. Whoever wakes asks the ledger, the base or the dialer what there
is to do, so an event that is lost, doubled or batched with others changes nothing.
"""

from __future__ import annotations

from airflow.sdk import Asset, AssetAlias, AssetWatcher

from zanc_pipeline.airflow.triggers import FtpArrivalTrigger

PORTFOLIO = Asset("portfolio")
"""The portfolio as the CRMs hold it; updated when a delivery was loaded."""


def arrivals(convenio: str) -> Asset:
    """Complete uploads of ``convenio`` on the FTP server, watched by the triggerer."""
    watcher = AssetWatcher(name=f"ftp_{convenio}", trigger=FtpArrivalTrigger(convenio=convenio))
    return Asset(f"ftp_{convenio}", watchers=[watcher])


def mailing(campaign: str) -> Asset:
    """The mailings of ``campaign``; updated when a new one was built."""
    return Asset(f"mailing_{campaign}")


def updates(asset: Asset, *, by: str) -> AssetAlias:
    """The outlet by which one task updates ``asset`` when there is something new, and only then.

    A plain outlet fires whenever its task succeeds; an alias fires for what is added to it. Each
    task has an alias of its own: when two tasks first use the same one at the same moment, Airflow
    3.3 fails one of them on the alias's unique key.
    """
    return AssetAlias(f"{asset.name}_by_{by}")
