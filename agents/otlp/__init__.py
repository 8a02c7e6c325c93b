"""OpenTelemetry in: what exporters and collectors send, decoded, normalised, published."""
