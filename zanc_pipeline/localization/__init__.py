"""The localization base: every call of every CRM to every phone, and who answers where."""
