"""Watching a deployment: metrics, the dashboard that shows them, and notices of cases that failed."""
