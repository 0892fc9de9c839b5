"""Receives creditors' files: layouts, readers, validation, quarantine, the delivery ledger."""
