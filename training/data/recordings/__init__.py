"""Recordings of events from files as they are published."""
