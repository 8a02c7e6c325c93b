"""Payloads of events as plain data, for writers that know no defaults."""

from decimal import Decimal

import msgspec


def complete(data):
    """A payload with every field, also those that have their default."""
    match data:
        case msgspec.Struct():
            return {field: complete(getattr(data, field)) for field in data.__struct_fields__}
        case dict():
            return {str(key): complete(value) for key, value in data.items()}
        case list() | tuple():
            return [complete(item) for item in data]
        case int() if abs(data) >= 2**63:
            return Decimal(data)  # what Avro's writer takes for a decimal
    return data
