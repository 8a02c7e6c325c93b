"""What is carried in from the topics of others: a collector's OTLP, LLM-Sentinel's alerts."""
