"""Watches the champion models: drift, promised and real performance; trains again on a breach.

**When it runs.** Every day at 04:00 (America/Sao_Paulo), or by hand.

**What it does.** For each model, *Vigiar* makes the last days' calls (for payments: the open
portfolio) into features by the training's own code, compares them with the champion's training
and holdout, and writes what it found to `scoring.monitor` and `scoring.monitor_feature`. When a
limit of the `monitoring` section of `models/<model>/model.yaml` is broken, *Treinar de novo* starts
`training__<model>`; otherwise it is skipped.

**What to look at.** When *Treinar de novo* was not skipped there was a breach: the log of *Vigiar*
and its XCom `check` say which (`why`). `zanc models monitor` does the same on the command line.

**When it is red.**

- It names MLflow or PostgreSQL and an address: bring it back and clear the task.
- A breach that comes back every day although the training ran: the new version was not better. Look
  at `zanc models compare`, and at what changed in the world.
"""

from zanc_pipeline.airflow.monitoring import monitoring_dag

globals().update({dag.dag_id: dag for dag in [monitoring_dag(__doc__)]})
