"""The settings of what listens and of what is carried in: where, for whom, and how much of it."""

from pydantic import SecretStr

from agents.settings.group import SettingsGroup, setting


class GatewaySettings(SettingsGroup):
    """The settings of `llmopt ingest`, and the topics from which others' records are carried in."""

    ingest_host: str = setting(
        "127.0.0.1",
        "address on which `llmopt ingest` listens",
        "loopback: any other address needs ingest_token",
        min_length=1,
        max_length=255,
    )
    ingest_port: int = setting(
        8088, "port of the REST API, 0 for any free one", "8080 is taken on most desks", ge=0, le=65535
    )
    otlp_grpc_port: int = setting(
        4317, "port of OTLP over gRPC, 0 for any free one", "the one exporters use unasked", ge=0, le=65535
    )
    otlp_http_port: int = setting(
        4318, "port of OTLP over HTTP, 0 for any free one", "the one exporters use unasked", ge=0, le=65535
    )
    ingest_token: SecretStr | None = setting(
        None, "bearer token that senders have to show", "none: whoever reaches the loopback address may send"
    )
    ingest_event_bytes: int = setting(
        1_000_000,
        "limit of a body with one event, bytes",
        "what the codec takes; a call has 500",
        ge=1_000,
        le=1_000_000,
    )
    ingest_batch_bytes: int = setting(
        4_000_000,
        "limit of a body with a batch of events, bytes",
        "1,000 calls with room to spare",
        ge=1_000,
        le=64_000_000,
    )
    ingest_batch_events: int = setting(
        1_000, "limit of a batch, events", "a batch is checked in a few milliseconds", ge=1, le=100_000
    )
    ingest_events_per_s: float = setting(
        5_000.0,
        "events a second that one remote address may send to the REST API",
        "a tenth of what a process takes; who sends more speaks to Kafka",
        gt=0,
    )
    ingest_max_pending: int = setting(
        50_000,
        "events that may wait for the broker's acknowledgement before senders are told to come back",
        "a second of traffic at full speed, 25 MB of ordinary calls",
        ge=1,
    )
    otlp_spans_topic: str = setting(
        "otlp_spans", "topic to which an OpenTelemetry Collector writes spans", "its Kafka exporter's default"
    )
    otlp_metrics_topic: str = setting(
        "otlp_metrics", "topic to which a Collector writes metrics", "as otlp_spans_topic"
    )
    otlp_logs_topic: str = setting(
        "otlp_logs", "topic to which a Collector writes logs", "as otlp_spans_topic"
    )
    sentinel_anomalies_topic: str = setting(
        "llm.anomalies", "topic to which LLM-Sentinel writes anomalies", "its default"
    )
    sentinel_drift_topic: str = setting(
        "llm.drift", "topic to which LLM-Sentinel writes drift", "its default"
    )
    sentinel_alerts_topic: str = setting(
        "llm.alerts", "topic to which LLM-Sentinel writes alerts", "its default"
    )
