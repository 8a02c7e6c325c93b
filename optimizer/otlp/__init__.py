"""OTLP: turns what OpenTelemetry exporters report of calls to models into our events; pure, and never raises."""
