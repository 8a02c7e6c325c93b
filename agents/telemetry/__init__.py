"""The telemetry of a process of ours: logs and metrics."""
