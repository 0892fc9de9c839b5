"""Our pages inside the Airflow UI, behind Airflow's own login and permissions."""
