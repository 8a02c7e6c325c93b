"""What OpenTelemetry exporters say of calls to models, as our events: pure, by duck typing, never an exception."""
