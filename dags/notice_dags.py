"""Tells people of missing files and of waits that are over, by the ways of `config/avisos.yaml`.

**When it runs.** Every 15 minutes, and when a person starts it.

**What it does.** *Procurar e avisar* looks for convênios whose file did not come by its usual
hour, for deliveries that wait for another file longer than `espera_horas`, and for quarantines that
no run told of. Each is told once. What a mail server or a webhook did not take before is sent
again, for a day. Without `email` and `webhook` in `config/avisos.yaml` it tells nobody.

**What to look at.** The log of the task; `zanc avisos testar` sends a message by each way.

**When it is red.**

- It names PostgreSQL and its address: bring it back; the next run tells what this one did not.
- It names `config/avisos.yaml` and a line: correct it as the line says.
- A server that takes no mail is not red: the log says which and why.
"""

from zanc_pipeline.airflow.notices import notices_dag

dag = notices_dag(__doc__)
