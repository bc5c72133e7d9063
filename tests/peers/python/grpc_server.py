"""A gRPC server on grpcio with reflection (v1alpha, as grpcio has it), which misbehaves when it is told to. Its descriptors are
written here, so nothing has to be compiled. Usage: grpc_server.py PORT [plain]; `plain` is without reflection; with `descriptors FILE` in
its place, the descriptors are written there and nothing is served."""

import sys
import time
from concurrent import futures

import grpc
from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, duration_pb2, message_factory, text_format, timestamp_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_reflection.v1alpha import reflection
from grpc_status import rpc_status

FILE = text_format.Parse(
    """
    name: "shop/v1/orders.proto" package: "shop.v1" syntax: "proto3"
    dependency: "google/protobuf/timestamp.proto"
    enum_type { name: "State" value { name: "STATE_UNSPECIFIED" number: 0 } value { name: "OPEN" number: 1 } }
    message_type { name: "Order"
      field { name: "id" number: 1 type: TYPE_INT64 label: LABEL_OPTIONAL }
      field { name: "item_name" number: 2 type: TYPE_STRING label: LABEL_OPTIONAL }
      field { name: "state" number: 3 type: TYPE_ENUM type_name: ".shop.v1.State" label: LABEL_OPTIONAL }
      field { name: "placed_at" number: 4 type: TYPE_MESSAGE type_name: ".google.protobuf.Timestamp" label: LABEL_OPTIONAL }
      field { name: "parts" number: 5 type: TYPE_MESSAGE type_name: ".shop.v1.Order" label: LABEL_REPEATED }
      field { name: "photo" number: 6 type: TYPE_BYTES label: LABEL_OPTIONAL }
      field { name: "weight" number: 7 type: TYPE_DOUBLE label: LABEL_OPTIONAL }
      field { name: "tags" number: 8 type: TYPE_MESSAGE type_name: ".shop.v1.Order.TagsEntry" label: LABEL_REPEATED }
      nested_type { name: "TagsEntry" options { map_entry: true }
        field { name: "key" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
        field { name: "value" number: 2 type: TYPE_UINT32 label: LABEL_OPTIONAL } }
    }
    message_type { name: "Ask" field { name: "what" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
      field { name: "count" number: 2 type: TYPE_INT32 label: LABEL_OPTIONAL } }
    service { name: "Orders"
      method { name: "Echo" input_type: ".shop.v1.Order" output_type: ".shop.v1.Order" options { idempotency_level: NO_SIDE_EFFECTS } }
      method { name: "Do" input_type: ".shop.v1.Ask" output_type: ".shop.v1.Order" }
      method { name: "Watch" input_type: ".shop.v1.Ask" output_type: ".shop.v1.Order" server_streaming: true }
      method { name: "Upload" input_type: ".shop.v1.Order" output_type: ".shop.v1.Ask" client_streaming: true }
    }
    """,
    descriptor_pb2.FileDescriptorProto(),
)
POOL = descriptor_pool.DescriptorPool()
STAMP = descriptor_pb2.FileDescriptorProto()
timestamp_pb2.DESCRIPTOR.CopyToProto(STAMP)
POOL.Add(STAMP)
POOL.Add(FILE)
Order = message_factory.GetMessageClass(POOL.FindMessageTypeByName("shop.v1.Order"))
Ask = message_factory.GetMessageClass(POOL.FindMessageTypeByName("shop.v1.Ask"))
SEEN = {"open": 0, "gone": 0}


def echo(order, context):
    return order


def do(ask, context):
    if ask.what == "metadata":
        shown = dict(context.invocation_metadata())
        left = context.time_remaining()
        return Order(item_name=f"{shown.get('x-key')} {shown.get('user-agent').split('/')[0]}", weight=left if left else -1)
    if ask.what == "never":
        SEEN["open"] += 1
        context.add_callback(lambda: SEEN.update(gone=SEEN["gone"] + 1))
        while context.is_active():
            time.sleep(0.01)
    if ask.what == "seen":
        return Order(id=SEEN["open"] * 10 + SEEN["gone"])
    if ask.what == "big":
        return Order(photo=b"x" * (20 << 20))
    if ask.what == "unknown-enum":
        return Order(state=77, weight=float("inf"), id=2**62)
    if ask.what == "retry":
        detail = any_pb2.Any()
        detail.Pack(error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=7)))
        context.abort_with_status(rpc_status.to_status(status_pb2.Status(code=14, message="later", details=[detail])))
    for code in grpc.StatusCode:
        if code.name == ask.what:
            context.abort(code, f"because {code.name}")
    return Order(item_name=ask.what)


def watch(ask, context):
    for number in range(ask.count):
        yield Order(id=number)
    if ask.what == "fail":
        context.abort(grpc.StatusCode.INTERNAL, "in the middle")


def upload(orders, context):
    return Ask(count=sum(1 for _ in orders))


def handler(make, method, request):
    return make(method, request_deserializer=request.FromString, response_serializer=lambda message: message.SerializeToString())


if sys.argv[1] == "descriptors":
    with open(sys.argv[2], "wb") as out:
        out.write(descriptor_pb2.FileDescriptorSet(file=[STAMP, FILE]).SerializeToString())
    sys.exit()

server = grpc.server(futures.ThreadPoolExecutor(16), options=[("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0)])
server.add_generic_rpc_handlers([
    grpc.method_handlers_generic_handler("shop.v1.Orders", {
        "Echo": handler(grpc.unary_unary_rpc_method_handler, echo, Order),
        "Do": handler(grpc.unary_unary_rpc_method_handler, do, Ask),
        "Watch": handler(grpc.unary_stream_rpc_method_handler, watch, Ask),
        "Upload": handler(grpc.stream_unary_rpc_method_handler, upload, Order),
    }),
])
if "plain" not in sys.argv:
    reflection.enable_server_reflection(["shop.v1.Orders", reflection.SERVICE_NAME], server, pool=POOL)
if server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}") == 0:
    sys.exit(1)
server.start()
server.wait_for_termination()
