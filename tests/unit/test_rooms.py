"""Each room imports only what docs/architecture.md allows it."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINE = ("reception", "crm", "localization", "scoring", "mailing")
ALLOWED = {
    "zanc_pipeline/common": {"zanc_pipeline.common"},
    **{f"zanc_pipeline/{room}": {"zanc_pipeline.common", f"zanc_pipeline.{room}"} for room in LINE},
    "zanc_pipeline/stack": {"zanc_pipeline.common", "zanc_pipeline.stack"},
    "dialer": {"zanc_pipeline.common", "dialer"},
    "dags": {"zanc_pipeline.airflow"},
}


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] in {"zanc_pipeline", "dialer"}}


@pytest.mark.parametrize("room", ALLOWED)
def test_a_room_imports_only_its_neighbours(room: str) -> None:
    files = sorted((ROOT / room).rglob("*.py"))
    assert files
    for path in files:
        for name in _imports(path):
            if name in {"zanc_pipeline", "zanc_pipeline.__version__"}:
                continue
            assert any(
                name == allowed or name.startswith(f"{allowed}.") for allowed in ALLOWED[room]
            ), f"{path.relative_to(ROOT)} imports {name}"
