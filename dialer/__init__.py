"""The dialer (discador): a pure core, adapters to Asterisk and Postgres, and its service."""
