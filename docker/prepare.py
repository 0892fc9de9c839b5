"""Runs once before everything else: databases, tables, passwords. Running it again does nothing."""

from __future__ import annotations

import subprocess

from zanc_pipeline.common.settings import load_settings
from zanc_pipeline.stack import lifecycle, parts


def main() -> None:
    """Prepare what the other services find at their start."""
    settings = load_settings()
    lifecycle.prepare(settings, print)
    parts.write_airflow_passwords(settings)
    parts.write_mlflow_auth(settings)
    subprocess.run(["airflow", "db", "migrate"], check=True)


if __name__ == "__main__":
    main()
