"""A Python client that knows the published .proto files and nothing else of Cairn.

Runs one scenario against one server over mutual TLS and prints what it saw as one JSON object.
The messages are made at run time from a descriptor set (`buf build proto`), so there is no
generated code to keep.
"""

import argparse
import gzip
import json
import sys

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

TIMEOUT = 20


class Service:
    """Calls of one channel, by full method name; messages by their names in the .proto files."""

    def __init__(self, channel, descriptors):
        self._channel = channel
        self._pool = descriptor_pool.DescriptorPool()
        with open(descriptors, "rb") as file:
            files = descriptor_pb2.FileDescriptorSet.FromString(file.read())
        for one in files.file:
            self._pool.Add(one)
        self._factory = message_factory.MessageFactory(self._pool)

    def message(self, full_name, /, **fields):
        return self._factory.GetPrototype(self._pool.FindMessageTypeByName(full_name))(**fields)

    def _method(self, path):
        service, name = path.rsplit("/", 1)
        return self._pool.FindServiceByName(service).FindMethodByName(name)

    def _stub(self, path, kind):
        method = self._method(path)
        answer = self._factory.GetPrototype(method.output_type)
        make = getattr(self._channel, kind)
        return make("/" + path, lambda request: request.SerializeToString(), answer.FromString)

    def request(self, path, /, **fields):
        return self.message(self._method(path).input_type.full_name, **fields)

    def unary(self, path, /, **fields):
        return self._stub(path, "unary_unary")(self.request(path, **fields), timeout=TIMEOUT)

    def stream(self, path, /, **fields):
        return self._stub(path, "unary_stream")(self.request(path, **fields), timeout=TIMEOUT)

    def both(self, path, requests):
        return self._stub(path, "stream_stream")(iter(requests), timeout=TIMEOUT)


def refusal(call):
    """What a call that must fail was told."""
    try:
        call()
    except grpc.RpcError as error:
        trailers = dict(error.trailing_metadata() or ())
        details = trailers.get("grpc-status-details-bin", b"")
        return {
            "code": error.code().name,
            "message": error.details(),
            "hasReason": b"type.googleapis.com/google.rpc.ErrorInfo" in details,
        }
    return {"code": "OK"}


def produce_consume(service, _args):
    produced = service.unary("log.v1.Log/Produce", record={"value": b"from python"})
    consumed = service.unary("log.v1.Log/Consume", offset=produced.offset)
    return {"offset": produced.offset, "value": consumed.record.value.decode()}


def streams(service, args):
    path = "log.v1.Log/ProduceStream"
    values = [f"message {at}".encode() for at in range(args.count)]
    requests = [service.request(path, record={"value": value}) for value in values]
    offsets = [answer.offset for answer in service.both(path, requests)]
    consuming = service.stream("log.v1.Log/ConsumeStream", offset=offsets[0])
    seen = [next(consuming).record.value.decode() for _ in values]
    consuming.cancel()
    return {"offsets": offsets, "values": seen}


def batches(service, _args):
    """One idempotent append with keys and headers, the same again, and both kinds of reading."""
    path = "cairn.v1.Log/Append"
    records = [
        {"value": b"one", "key": b"k1", "headers": [{"name": "lang", "value": b"py"}]},
        {"value": "zwei ☃".encode()},
        {"value": b""},
    ]
    producer = {"producer_id": 4711, "epoch": 1, "sequence": 0}
    first = service.unary(path, records=records, **producer)
    again = service.unary(path, records=records, **producer)
    end = service.unary("cairn.v1.Log/CheckTail").end_offset
    linearizable = 3
    answer = service.unary("cairn.v1.Log/Read", offset=first.offset, consistency=linearizable)
    return {
        "offset": first.offset,
        "again": {"offset": again.offset, "duplicate": again.duplicate},
        "end": end,
        "records": [record for batch in answer.batches for record in unpacked(batch)],
        "gap": refusal(lambda: service.unary(path, records=records, producer_id=4711, epoch=1, sequence=99)),
    }


def unpacked(batch):
    """The records of a batch: a table of lengths, and one block with all values."""
    at = 0
    for entry in batch.records.records:
        value = batch.records.values[at : at + entry.length]
        at += entry.length
        yield {
            "offset": batch.offset + entry.offset_delta,
            "value": value.decode(),
            "key": entry.key.decode() if entry.HasField("key") else None,
            "headers": {header.name: header.value.decode() for header in entry.headers},
        }


def packed(service, _args):
    """A batch that this side packs with gzip, read back."""
    values = [b"x" * 1000, b"y" * 1000]
    batch = service.message(
        "cairn.v1.RecordBatch",
        records=[{"offset_delta": at, "length": len(value)} for at, value in enumerate(values)],
        values=b"".join(values),
    )
    body = gzip.compress(batch.SerializeToString())
    appended = service.unary("cairn.v1.Log/Append", gzip=body)
    stream = service.stream("cairn.v1.Log/ReadStream", offset=appended.offset)
    got = next(stream).batches[0]
    stream.cancel()
    if got.WhichOneof("body") == "gzip":
        read = service.message("cairn.v1.RecordBatch")
        read.ParseFromString(gzip.decompress(got.gzip))
    else:
        read = got.records
    return {"sent": len(body), "same": read.values == b"".join(values), "kind": got.WhichOneof("body")}


def cursors(service, _args):
    service.unary("cairn.v1.Log/CommitCursor", name="python/reader", offset=2)
    fetched = service.unary("cairn.v1.Log/FetchCursor", name="python/reader")
    missing = refusal(lambda: service.unary("cairn.v1.Log/FetchCursor", name="python/nobody"))
    return {"fetched": str(fetched.cursor.offset), "missing": missing["code"]}


def denied(service, _args):
    record = {"value": b"x"}
    return {
        "produce": refusal(lambda: service.unary("log.v1.Log/Produce", record=record)),
        "append": refusal(lambda: service.unary("cairn.v1.Log/Append", records=[record])),
        "read": refusal(lambda: service.unary("cairn.v1.Log/Read", earliest=True)),
        "stream": refusal(lambda: next(service.stream("log.v1.Log/ConsumeStream", offset=0))),
        "trim": refusal(lambda: service.unary("cairn.v1.Admin/Trim", before=1)),
    }


SCENARIOS = {
    "produce-consume": produce_consume,
    "streams": streams,
    "batches": batches,
    "packed": packed,
    "cursors": cursors,
    "denied": denied,
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("scenario", choices=SCENARIOS)
    for flag in ("address", "descriptors", "ca", "cert", "key"):
        parser.add_argument(f"--{flag}", required=True)
    parser.add_argument("--count", type=int, default=10)
    args = parser.parse_args()
    read = lambda name: open(name, "rb").read()
    credentials = grpc.ssl_channel_credentials(read(args.ca), read(args.key), read(args.cert))
    with grpc.secure_channel(args.address, credentials) as channel:
        seen = SCENARIOS[args.scenario](Service(channel, args.descriptors), args)
    json.dump(seen, sys.stdout)


if __name__ == "__main__":
    main()
