"""OpenTelemetry's receivers: exports answered when the broker has their events."""
