"""Builds a campaign's mailing: scores the portfolio and ranks whom to call.

**When it runs.** When a delivery was loaded (asset `portfolio`). It first waits, at most three
minutes, until no file waits on the FTP server and no delivery is half way, so that files that
arrive together make one mailing.

**What it does.** *Pontuar e montar o mailing*: scores every phone and contract with the champion
models, applies the campaign's strategy (`config/campaigns/<campaign>.yaml`) and writes the
mailing. The same inputs give the same mailing. One that the dialer does not have yet updates the
asset `mailing_<campaign>`, and the campaign starts; otherwise nothing is new: the task is skipped.
A portfolio that changes later in the day makes another mailing, without the people of those
before; it is dialled when the one before has ended.

**What to look at.** The task's result: how many leads, and the waterfall of who was left out by
which rule. `zanc mailing build --campaign X --explain` tells the same on the command line.

**When it is red.**

- *A model has no champion*: run `training__answer` and `training__payment`, then clear the task.
  Without `training__right_party` the mailing goes on with each pair's own history.
- It names PostgreSQL or MLflow and an address: bring it back and clear the task. It is retried by
  itself for about nine minutes.
- It names a line of the strategy: correct the file and clear the task.
"""

from zanc_pipeline.airflow.dags import mailing_dags

globals().update({dag.dag_id: dag for dag in mailing_dags(__doc__)})
