"""Asks a person about a delivery that did not go through by itself.

**When it runs.** A reception that leaves a delivery in quarantine, or held, asks here when a person
has a choice: a proposed layout to approve, a rule that may be overruled (a volume out of the usual,
say), a file that waits for another. One run a question, `entrega-<number>-<question>`: a delivery
that is judged again and is still held is asked about again.

**What it does.** *Decidir* waits for a person under *Required actions* and shows the delivery's
report with the evidence; it holds no slot and blocks nobody. *Aplicar* carries the choice out, with
the name of who decided, and *Carregar* wakes the convênio's reception, which loads what was
accepted. The same can be done with `zanc reception approve|reject|accept|release|replay` or on the
page *Recepção*: then *Decidir* ends by itself within seconds, and *Aplicar* finds nothing to do.

**What to look at.** The text of the question; the log of *Aplicar*: what became of the delivery.

**When it is red.**

- *Aplicar* fails naming a part and its address: bring that part back and clear the task. A choice
  that was already carried out, or overtaken by another, changes nothing.
- *Aplicar* fails naming a layout: correct it as the line says and clear the task.
"""

from zanc_pipeline.airflow.dags import decision_dag

dag = decision_dag(__doc__)
