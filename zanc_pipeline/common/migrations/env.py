"""What Alembic runs for each room; ``alembic_runner`` sets the attributes."""

from alembic import context

_attributes = context.config.attributes
_version = {
    "version_table": _attributes["version_table"],
    "version_table_schema": _attributes["schema"],
}
if context.is_offline_mode():
    context.configure(dialect_name="postgresql", dialect_opts={"paramstyle": "named"}, **_version)
else:
    context.configure(connection=_attributes["connection"], **_version)
with context.begin_transaction():
    context.run_migrations()
