"""Runs a campaign on the dialer and returns its outcomes to the CRMs.

**When it runs.** When a new mailing was built (asset `mailing_<campaign>`). Started by hand it
takes the campaign's latest mailing. It also picks up every mailing that the dialer has not ended.

**What it does.** *Discar*: gives the mailing to the dialer service under the mailing's own id and
waits until the campaign has ended; it holds no worker slot. A task that is retried or cleared, or
whose worker, scheduler or triggerer died, finds the same campaign again: nobody is called twice.
*Devolver os resultados aos CRMs* runs whether or not the campaign failed, and may be repeated.

**What to look at.** The log of *Discar* ends with the campaign's counts.
`zanc dialer report --campaign X` shows attempts by outcome, occupancy and the abandoned share.

**To stop it.** Mark *Discar* as failed: the dialer places no more calls and lets those under way
end. Clearing *Discar* does not stop anything.

**When it is red.**

- It names the dialer and its address: start the service (`zanc up`) and clear the task.
- *Campaign failed*: the reason is the dialer's; correct it. The campaign has ended and its people
  are in no other mailing of that day: they are called again from the next day's on.
- *Devolver* names a CRM: its outcomes wait; bring the CRM back and clear this task only.
"""

from zanc_pipeline.airflow.dags import campaign_dags

globals().update({dag.dag_id: dag for dag in campaign_dags(__doc__)})
