"""Zanc Pipeline: from the creditor's text file to the operator's headset and back."""

__version__ = "0.1.0"
