"""OpenTelemetry's export requests, from bytes to messages."""
