"""Hooks, triggers and operators for Airflow, in provider style."""

from __future__ import annotations

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """What Airflow shows of us under Providers."""
    return {
        "package-name": "zanc-pipeline",
        "name": "Zanc Pipeline",
        "description": "Reception, CRM load, localization, scores, mailings and campaigns.",
        "extra-links": ["zanc_pipeline.airflow.links.MlflowModelLink"],
    }
