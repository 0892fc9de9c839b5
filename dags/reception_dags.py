"""Receives a convênio's files: FTP → ledger → CRM → localization.

**When it runs.** By itself, some seconds after an upload is complete on the FTP server: its size
and time stand still, and its name does not end in `.part`, `.tmp` or `.filepart`. One poll in the
triggerer serves all convênios. Started by hand it takes whatever waits. Files in a folder of no
convênio go through *Convênio desconhecido* and end in quarantine.

**What it does.** *Receber e carregar*: downloads each file that the ledger
(`reception.delivery`) does not know, parses and validates it, adds its phones to the localization
base and loads the CRM. A file that comes twice is recognised and skipped. When something was
loaded, the asset `portfolio` is updated and the mailings are built. *Conferir o que não entrou*
lists quarantined, duplicate and outdated files; it is skipped when there are none.

**What to look at.** The log of *Conferir*: a line for each file, with the reason and the folder of
its report; `zanc reception deliveries --convenio X` for all of them.

**When it is red.**

- *Receber* fails naming a part and its address (FTP, PostgreSQL, a CRM): bring that part back and
  clear the task. It is retried by itself for about nine minutes. Whatever was loaded stays.
- *Conferir* fails: a configuration is wrong, or a bug. Its one line says which file and why.
  Correct it and clear *Receber* with its downstream; the file is still on the FTP server.
- A quarantined file is not red. The clerk corrects the layout or asks the creditor for another
  file; `zanc reception replay DELIVERY_ID` reads the same file again.
- A file that stays outside the ledger is announced again after 5, 10, 20 … minutes, eight times.
"""

from zanc_pipeline.airflow.dags import reception_dags

globals().update({dag.dag_id: dag for dag in reception_dags(__doc__)})
