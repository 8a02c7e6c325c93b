"""The two receivers of OTLP, for `llmopt ingest` to run beside its REST API."""

from agents.gateway.access import Access
from agents.gateway.otlp.intake import ExportIntake, PublishesExports
from agents.gateway.otlp.over_grpc import GrpcReceiver
from agents.gateway.otlp.over_http import application
from agents.gateway.serving import HttpReceiver, Receiver
from agents.settings.settings import Settings


def receivers(settings: Settings, publisher: PublishesExports) -> tuple[Receiver, Receiver]:
    """OTLP over gRPC and over HTTP, which share what they remember of spans and how much they hold.

    Raises:
        SettingsError: anybody could send.
    """
    intake = ExportIntake(publisher)
    http = application(intake, Access(settings))
    return GrpcReceiver(settings, intake), HttpReceiver("OTLP over HTTP", http, settings, "otlp_http_port")
