// Read before anything is drawn: Airflow keeps its theme under this key, for the whole origin.
(() => {
  const apply = () => {
    let chosen = null;
    try { chosen = localStorage.getItem("theme"); } catch { /* no storage: as the system says */ }
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
    else delete document.documentElement.dataset.theme;
  };
  apply();
  addEventListener("storage", (event) => { if (event.key === "theme" || event.key === null) apply(); });
})();
