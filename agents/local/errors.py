"""The failures of a server on this machine, each as one sentence and its remedy."""


class ServerError(Exception):
    """A server could not be started, found or stopped."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(f"{message}; {remedy}")
        self.message, self.remedy = message, remedy
