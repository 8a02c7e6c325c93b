"""The REST API for events, feedback and alerts."""
