"""The settings of every client of Kafka: which broker, and how connections to it are secured."""

import ssl
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from agents.settings.group import PREFIX, SettingsError, SettingsGroup, setting


class KafkaSettings(SettingsGroup):
    """The broker, and the credentials we show it."""

    model_config = SettingsConfigDict(env_prefix=f"{PREFIX}KAFKA_")
    qualifier: ClassVar[str] = "kafka_"

    bootstrap: str | None = setting(
        None, "host:port,… of the Kafka to use", "none: a broker is started on this machine"
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = setting(
        "PLAINTEXT", "how connections to Kafka are secured", "the local broker listens on loopback only"
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = setting(
        "SCRAM-SHA-512", "how we log in where the protocol is SASL_*", "the strongest all three clients speak"
    )
    sasl_username: str | None = setting(None, "user name for SASL_*", "none: no log-in")
    sasl_password: SecretStr | None = setting(None, "password for SASL_*", "never printed")
    ssl_cafile: Path | None = setting(
        None,
        "PEM file of the authorities trusted for SSL and SASL_SSL",
        "none: those of the operating system",
    )
    options: dict[str, str] = setting(
        {},
        "further librdkafka properties, a JSON object",
        "what a site needs and we have no setting for",
        repr=False,
    )

    @model_validator(mode="after")
    def _can_log_in(self) -> Self:
        if self.security_protocol.startswith("SASL") and not (self.sasl_username and self.sasl_password):
            raise ValueError(f"{self.security_protocol} needs kafka_sasl_username and kafka_sasl_password")
        return self

    def librdkafka(self) -> dict[str, str | int | float | bool]:
        """Return the properties every confluent-kafka client of ours starts from.

        Raises:
            SettingsError: no broker is named.
        """
        properties: dict[str, str | int | float | bool] = {
            "bootstrap.servers": self.broker(),
            "security.protocol": self.security_protocol,
        }
        if self.security_protocol.startswith("SASL"):
            properties["sasl.mechanism"] = self.sasl_mechanism
            properties["sasl.username"] = self.sasl_username or ""
            properties["sasl.password"] = self._password()
        if self.ssl_cafile is not None:
            properties["ssl.ca.location"] = str(self.ssl_cafile)
        return properties | self.options

    def aiokafka(self) -> dict[str, Any]:
        """Return the arguments every aiokafka client of ours starts from.

        Raises:
            SettingsError: no broker is named.
        """
        arguments: dict[str, Any] = {
            "bootstrap_servers": self.broker(),
            "security_protocol": self.security_protocol,
            "ssl_context": self.ssl_context(),
        }
        if self.security_protocol.startswith("SASL"):
            arguments["sasl_mechanism"] = self.sasl_mechanism
            arguments["sasl_plain_username"] = self.sasl_username
            arguments["sasl_plain_password"] = self._password()
        return arguments

    def ssl_context(self) -> ssl.SSLContext | None:
        """Return what aiokafka and Faust verify the broker with; None where the protocol is not encrypted."""
        if not self.security_protocol.endswith("SSL"):
            return None
        return ssl.create_default_context(cafile=self.ssl_cafile)

    def broker(self) -> str:
        """Return the broker's address.

        Raises:
            SettingsError: no broker is named.
        """
        if self.bootstrap is None:
            raise SettingsError(
                "no Kafka is named", "set LLMOPT_KAFKA_BOOTSTRAP, or start one here with `llmopt up`"
            )
        return self.bootstrap

    def _password(self) -> str:
        return "" if self.sasl_password is None else self.sasl_password.get_secret_value()
