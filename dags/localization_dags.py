"""Loads the calls that a CRM made by itself into the localization base: a day's file by COPY.

**When it runs.** Every night at 2:30, and when a person starts it. One DAG a CRM: one that is
late or wrong holds back no other.

**What it does.** *Carregar as chamadas* takes every file, CSV or Parquet, that waits in
`var/calls/<crm>/` and has stood still for some seconds, oldest first: checks all its rows, loads
the calls and their summaries, and moves it to `loaded/` beside it. The columns are those of
`localization.call` (docs/localization.md); only calls of that CRM may be in it. A call that is
known already is a duplicate and changes nothing, so a file that comes twice does no harm.

**What to look at.** The log of the task: a line for each file. `zanc localization verify` compares
the summaries with the log.

**When it is red.**

- It names a file, a line and a column: nothing of that file was loaded, the others were. Correct
  the file, or take it away, and clear the task.
- It names PostgreSQL and its address: bring it back and clear the task. It is retried by itself for
  about nine minutes; what was loaded stays, and loading again goes on from there.
"""

from zanc_pipeline.airflow.calls import calls_dags

globals().update({dag.dag_id: dag for dag in calls_dags(__doc__)})
