"""Starts and stops everything in a process: settings, tracer provider, agent, findings."""
