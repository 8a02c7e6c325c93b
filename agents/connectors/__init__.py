"""Connectors carry in records from the topics of others: a collector's OTLP, LLM-Sentinel's alerts."""
