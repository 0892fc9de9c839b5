"""Trains a model on the calls and payments so far and promotes it by its rule.

**When it runs.** On Sundays at 05:00 (America/Sao_Paulo), or by hand.

**What it does.** *Treinar e promover*: builds the data set from the localization base or the
portfolio's history as of each moment, trains XGBoost beside simpler models, logs all of it to
MLflow, registers the version, and moves the alias `champion` to it only when the rule in
`models/<model>/model.yaml` says so. `zanc models rollback NAME` takes that back. The DAG
`monitoring` starts it, too, when a champion has aged.

**What to look at.** The button *MLflow* of the task: metrics, plots and the version. The task's
result says whether it was promoted, and why.

**When it is red.** The champion of before stays in use, so nothing else stops.

- It names MLflow or PostgreSQL and an address: bring it back and clear the task; a retry trains
  afresh. A try that died half way may leave a version without an alias: nothing uses it.
- It says that the data teach nothing (too few rows, one class): look at the loads of the base.
"""

from zanc_pipeline.airflow.dags import training_dags

globals().update({dag.dag_id: dag for dag in training_dags(__doc__)})
