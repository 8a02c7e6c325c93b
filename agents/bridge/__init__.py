"""From topics of others to ours: a collector's OTLP, and LLM-Sentinel's alarms."""
