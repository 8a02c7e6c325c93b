"""Each run of the demo has a prefix of its own; what former runs left on our broker and disk is removed.

A run leaves 200 MB of calls behind. The ledger keeps all that was decided.
"""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

if TYPE_CHECKING:
    from agents.settings.settings import Settings

MARK = "-demo-"
ANSWER_S = 15.0


def prefix(base: str) -> str:
    """A prefix for a run that begins now; its topics sort by time."""
    return f"{base}{MARK}{time.strftime('%m%d%H%M%S', time.gmtime())}"


def remove(settings: Settings) -> list[str]:
    """Remove the topics and state of all runs but this one; the names of the topics.

    Only for a broker that nobody else uses: a demo that runs beside this one would lose its topics.

    Raises:
        KafkaException: the broker refuses.
    """
    base = settings.host.prefix.rpartition(MARK)[0]
    admin = AdminClient(settings.kafka.librdkafka())
    names = [
        name
        for name in admin.list_topics(timeout=ANSWER_S).topics
        if name.startswith(base + MARK) and not name.startswith(settings.host.prefix)
    ]
    if names:
        for future in admin.delete_topics(names, operation_timeout=ANSWER_S).values():
            try:
                future.result()
            except KafkaException as error:
                if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                    raise
    for folder in settings.host.state_dir.glob(f"{base}{MARK}*"):
        if folder.name != settings.host.prefix:
            shutil.rmtree(folder, ignore_errors=True)
    return names
