"""Google's gRPC for Python, which learns the service by reflection.

`grpc_door.py ADDRESS [--key KEY] [--ca FILE [--cert FILE --cert-key FILE]] calls|mcp`

`calls`: each line of the input is `{"id", "method", "message"?, "timeout"?}`, where bytes are text; each line of the output what
came: `{"id", "code", "messages", "reason"?, "rule"?, "message"?, "retry_after"?, "violations"?}`.

`mcp`: each line of the input is a message of a `Mcp` stream, each line of the output one that came.
"""

import argparse
import json
import queue
import sys
import threading

import grpc
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_status import rpc_status

SERVICE = "ferromcp.v1.FerroMcpService"


def channel(given):
    options = [("grpc.max_receive_message_length", 64 << 20)]
    if given.ca is None:
        return grpc.insecure_channel(given.address, options)
    files = [name and open(name, "rb").read() for name in (given.ca, given.cert_key, given.cert)]
    return grpc.secure_channel(given.address, grpc.ssl_channel_credentials(*files), options)


def fill(message, values):
    """A message from JSON in which bytes are text."""
    for name, value in values.items():
        field = message.DESCRIPTOR.fields_by_name[name]
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            for item in value:
                fill(getattr(message, name).add(), item)
        elif field.type == FieldDescriptor.TYPE_BYTES:
            setattr(message, name, value.encode())
        else:
            setattr(message, name, value)
    return message


def shown(value):
    if isinstance(value, bytes):
        return value.decode()
    if hasattr(value, "DESCRIPTOR"):
        return {field.name: shown(item) for field, item in value.ListFields()}
    if hasattr(value, "add") or isinstance(value, (list, tuple)):
        return [shown(item) for item in value]
    return value


def error(raised):
    told = {"code": raised.code().name, "message": raised.details()}
    status = rpc_status.from_call(raised)
    for detail in status.details if status else ():
        info, retry, bad = (
            error_details_pb2.ErrorInfo(),
            error_details_pb2.RetryInfo(),
            error_details_pb2.BadRequest(),
        )
        if detail.Unpack(info):
            told |= {"reason": info.reason, "rule": info.metadata.get("rule")}
        elif detail.Unpack(retry):
            told["retry_after"] = retry.retry_delay.ToTimedelta().total_seconds()
        elif detail.Unpack(bad):
            told["violations"] = [violation.field for violation in bad.field_violations]
    return told


class Door:
    def __init__(self, given):
        self.channel = channel(given)
        pool = DescriptorPool(ProtoReflectionDescriptorDatabase(self.channel))
        self.methods = pool.FindServiceByName(SERVICE).methods_by_name
        self.metadata = [("x-api-key", given.key)] if given.key else []

    def call(self, name, request, timeout=60):
        method = self.methods[name]
        answer = GetMessageClass(method.output_type)
        kinds = {
            (False, False): self.channel.unary_unary,
            (False, True): self.channel.unary_stream,
            (True, True): self.channel.stream_stream,
        }
        make = kinds[method.client_streaming, method.server_streaming]
        stub = make(
            f"/{SERVICE}/{name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=answer.FromString,
        )
        answers = stub(request, timeout=timeout, metadata=self.metadata)
        return answers if method.server_streaming else [answers]

    def request(self, name, values):
        return fill(GetMessageClass(self.methods[name].input_type)(), values)


def calls(door):
    for line in sys.stdin:
        wanted = json.loads(line)
        messages = []
        told = {"code": "OK"}
        try:
            request = door.request(wanted["method"], wanted.get("message", {}))
            for message in door.call(wanted["method"], request, wanted.get("timeout", 60)):
                messages.append(shown(message))
        except grpc.RpcError as raised:
            told = error(raised)
        print(json.dumps(told | {"id": wanted["id"], "messages": messages}), flush=True)


def mcp(door):
    lines = queue.Queue()

    def read():
        for line in sys.stdin:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    messages = (door.request("Mcp", {"message": line}) for line in iter(lines.get, None))
    try:
        for answer in door.call("Mcp", messages, None):
            print(answer.message.decode(), flush=True)
    except grpc.RpcError as raised:
        print(json.dumps(error(raised)), file=sys.stderr, flush=True)
        sys.exit(1)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("address")
    for name in ("--key", "--ca", "--cert", "--cert-key"):
        arguments.add_argument(name)
    arguments.add_argument("mode", choices=["calls", "mcp"])
    given = arguments.parse_args()
    {"calls": calls, "mcp": mcp}[given.mode](Door(given))


main()
