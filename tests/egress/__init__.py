"""Sending to elsewhere: what may be reached, and what comes back."""
