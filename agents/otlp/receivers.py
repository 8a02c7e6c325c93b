"""The two receivers of OTLP, for `llmopt ingest` to run beside its REST API."""

from agents.ingest.access import Access
from agents.ingest.serving import HttpReceiver, Receiver
from agents.otlp.intake import Intake, Publishes
from agents.otlp.over_grpc import GrpcReceiver
from agents.otlp.over_http import application
from agents.settings import Settings


def receivers(settings: Settings, publisher: Publishes) -> tuple[Receiver, Receiver]:
    """OTLP over gRPC and over HTTP, which share what they remember of spans and how much they hold.

    Raises:
        SettingsError: anybody could send.
    """
    intake = Intake(publisher)
    http = application(intake, Access(settings))
    return GrpcReceiver(settings, intake), HttpReceiver("OTLP over HTTP", http, settings, "otlp_http_port")
