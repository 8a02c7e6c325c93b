"""Spans whose attributes stay the bytes in which they came.

Opening an attribute (making an object of it, one of its value, asking which kind that is) takes longer than
everything else that is done with it, and a service says most attributes of a call again with the next: the model,
the temperature, the address. The normaliser remembers what such bytes mean, and opens only what is new.

In protobuf's encoding a message within a message is its length and its bytes, as a field of bytes is. So the
definition of OTLP's spans, with the one type changed, reads the same requests.

Source: protobuf.dev/programming-guides/encoding, "Length-Delimited Records" and "Submessages".
"""

from typing import Any

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

_NOTHING = KeyValue()


def _requests() -> Any:
    pool = DescriptorPool()
    for module in (common_pb2, resource_pb2, trace_pb2, trace_service_pb2):
        file = FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        for message in file.message_type:
            for field in message.field if message.name == "Span" else ():
                if field.name == "attributes":
                    field.type = FieldDescriptorProto.TYPE_BYTES
                    field.ClearField("type_name")
        pool.Add(file)
    request = trace_service_pb2.ExportTraceServiceRequest.DESCRIPTOR.full_name
    return GetMessageClass(pool.FindMessageTypeByName(request))


SealedSpans: Any = _requests()
"""An ExportTraceServiceRequest but for the `attributes` of its spans, which are bytes, each a KeyValue."""


def opened(attribute: bytes) -> KeyValue:
    """The attribute in those bytes; one without a name, which nobody asks for, if they are none."""
    try:
        item: KeyValue = KeyValue.FromString(attribute)
    except DecodeError:
        return _NOTHING
    return item
