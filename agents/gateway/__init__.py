"""The gateway by which the world speaks to us: REST and OTLP receivers, and what they share."""
