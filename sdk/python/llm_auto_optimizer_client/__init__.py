"""The caller's side: follow a configuration, assign, report.

    follower = Follower("support-chat", "broker:9092", default="gpt-4")
    assigned = follower.assign(unit=user, segment="billing")
    follower.report(assigned, latency_ms=…)

Nothing here blocks a request or raises into it.
"""

from llm_auto_optimizer_client.assignment import Assigned, Router, bucket
from llm_auto_optimizer_client.configuration import Arm, Configuration
from llm_auto_optimizer_client.follower import Follower
from llm_auto_optimizer_client.sending import Stats

__all__ = ["Arm", "Assigned", "Configuration", "Follower", "Router", "Stats", "bucket"]
