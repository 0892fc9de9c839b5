"""Strategies and the mailing builder: whom to call, on which phone, and why."""
