"""Failures of the command line: one sentence, a remedy, an exit code that says whose fault it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import KafkaException

from agents.declarations.prices import RegistryUnreachable
from agents.host.instance import InstanceInUse
from agents.local import ServerError, recorded
from agents.settings.group import SettingsError
from agents.telemetry.metrics import PortTaken
from agents.wire import admin
from agents.wire.publisher import NotDelivered

if TYPE_CHECKING:
    from agents.settings.settings import Settings

BAD, USAGE, UNREACHABLE = 1, 2, 3


class Failure(Exception):
    """An expected failure."""

    def __init__(self, message: str, remedy: str, code: int) -> None:
        super().__init__(message)
        self.message, self.remedy, self.code = message, remedy, code


def reachable(settings: Settings, *, audit: bool = False) -> Settings:
    """The settings, naming a broker (and a database) that answers: the given one, or that of `llmopt up`.

    Raises:
        Failure: nothing answers, or the topics are not as the catalogue has them.
    """
    running = recorded(settings)
    found = settings.at(
        bootstrap=settings.kafka.bootstrap or (running.bootstrap if running else None),
        dsn=settings.operations.postgres_dsn or (running.dsn if running else None),
    )
    try:
        # `llmopt topics verify` tells the rest.
        problems = [problem for problem in admin.verify(found) if problem.forbids_running]
    except KafkaException as exc:
        raise Failure(
            f"no Kafka answers at {found.kafka.broker()}: {exc.args[0].str()}",
            "start one here with `llmopt up`, or correct LLMOPT_KAFKA_BOOTSTRAP",
            UNREACHABLE,
        ) from None
    if problems:
        raise Failure(f"{problems[0]}", "make the topics with `llmopt topics create`", BAD)
    if audit:
        found.operations.dsn()
    return found


def plainly(exc: BaseException) -> Failure | None:
    """The failure that an exception amounts to; None where nobody expected it."""
    if isinstance(exc, Failure):
        return exc
    if isinstance(exc, SettingsError | ServerError):
        code = USAGE if isinstance(exc, SettingsError) else UNREACHABLE
        return Failure(exc.message, exc.remedy, code)
    if isinstance(exc, NotDelivered | RegistryUnreachable):
        again = "see that Kafka runs, then say it again"
        said = f"not published: {exc}" if isinstance(exc, NotDelivered) else str(exc)
        return Failure(said, again if isinstance(exc, NotDelivered) else exc.remedy, UNREACHABLE)
    if isinstance(exc, KafkaException):
        return Failure(
            f"Kafka did not answer: {exc.args[0].str()}", "see that it runs, then try again", UNREACHABLE
        )
    if isinstance(exc, InstanceInUse | PortTaken):
        other = "or end the other one first"
        return Failure(
            str(exc), other if isinstance(exc, InstanceInUse) else f"set LLMOPT_METRICS_PORT, {other}", BAD
        )
    return None
