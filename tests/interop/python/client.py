"""The interop client on grpcio, with the flags and the assertions of grpc-go's.

It ends with status 0 when the case passes, and with 1 and the reason when it fails.
"""

import argparse
import os
import queue
import sys
from collections.abc import Callable

import flags
import grpc
from stubs import empty_pb2, messages_pb2, test_pb2_grpc

REQUEST_SIZES = (27182, 8, 1828, 45904)
RESPONSE_SIZES = (31415, 9, 2653, 58979)
LARGE_REQUEST_SIZE = 271828
LARGE_RESPONSE_SIZE = 314159
ECHO_INITIAL = ("x-grpc-test-echo-initial", "test_initial_metadata_value")
ECHO_TRAILING = ("x-grpc-test-echo-trailing-bin", b"\x0a\x0b\x0a\x0b\x0a\x0b")
STATUS_MESSAGE = "test status message"
SPECIAL_STATUS_MESSAGE = (
    "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"
)


class CaseFailed(Exception):
    """The server's answer is not the one that the case asks for."""


def expect(what: str, got: object, want: object) -> None:
    if got != want:
        raise CaseFailed(f"{what}: got {got!r}, want {want!r}")


def expect_status(
    what: str,
    call: Callable[[], object],
    code: grpc.StatusCode,
    message: str | None = None,
) -> None:
    """Runs `call`, which must end with `code`, and with `message` if it is given."""
    try:
        answer = call()
    except grpc.RpcError as error:
        expect(f"{what}: code", error.code(), code)
        if message is not None:
            expect(f"{what}: message", error.details(), message)
    except StopIteration:
        raise CaseFailed(f"{what}: got the status OK, want {code}") from None
    else:
        raise CaseFailed(f"{what}: got the answer {answer!r}, want {code}")


def expect_end(what: str, responses) -> None:
    """The stream must end here, and with OK: any other status is raised as an error."""
    for response in responses:
        raise CaseFailed(f"{what}: got one more response, {response!r}")


def expect_payload(what: str, response, size: int) -> None:
    expect(f"{what}: payload type", response.payload.type, messages_pb2.COMPRESSABLE)
    expect(f"{what}: payload size", len(response.payload.body), size)


def payload(size: int) -> messages_pb2.Payload:
    return messages_pb2.Payload(type=messages_pb2.COMPRESSABLE, body=bytes(size))


def simple_request(request_size: int, response_size: int) -> messages_pb2.SimpleRequest:
    return messages_pb2.SimpleRequest(
        response_type=messages_pb2.COMPRESSABLE,
        response_size=response_size,
        payload=payload(request_size),
    )


def output_request(
    *response_sizes: int, request_size: int | None = None
) -> messages_pb2.StreamingOutputCallRequest:
    return messages_pb2.StreamingOutputCallRequest(
        response_type=messages_pb2.COMPRESSABLE,
        response_parameters=[
            messages_pb2.ResponseParameters(size=size) for size in response_sizes
        ],
        payload=None if request_size is None else payload(request_size),
    )


class Requests:
    """A stream of requests that stays open until it is closed."""

    _HALF_CLOSE = object()

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue = queue.SimpleQueue()

    def send(self, request: object) -> None:
        self._queue.put(request)

    def close(self) -> None:
        self._queue.put(self._HALF_CLOSE)

    def __iter__(self) -> "Requests":
        return self

    def __next__(self) -> object:
        request = self._queue.get()
        if request is self._HALF_CLOSE:
            raise StopIteration
        return request

    def __enter__(self) -> "Requests":
        return self

    def __exit__(self, *_: object) -> None:
        # grpcio reads the requests on a thread of its own: let that thread end.
        self.close()


def empty_unary(channel: grpc.Channel) -> None:
    stub = test_pb2_grpc.TestServiceStub(channel)
    expect("EmptyCall", stub.EmptyCall(empty_pb2.Empty()), empty_pb2.Empty())


def large_unary(channel: grpc.Channel) -> None:
    stub = test_pb2_grpc.TestServiceStub(channel)
    response = stub.UnaryCall(simple_request(LARGE_REQUEST_SIZE, LARGE_RESPONSE_SIZE))
    expect_payload("UnaryCall", response, LARGE_RESPONSE_SIZE)


def client_streaming(channel: grpc.Channel) -> None:
    stub = test_pb2_grpc.TestServiceStub(channel)
    response = stub.StreamingInputCall(
        messages_pb2.StreamingInputCallRequest(payload=payload(size))
        for size in REQUEST_SIZES
    )
    expect("aggregated size", response.aggregated_payload_size, sum(REQUEST_SIZES))


def server_streaming(channel: grpc.Channel) -> None:
    stub = test_pb2_grpc.TestServiceStub(channel)
    responses = list(stub.StreamingOutputCall(output_request(*RESPONSE_SIZES)))
    expect("number of responses", len(responses), len(RESPONSE_SIZES))
    for response, size in zip(responses, RESPONSE_SIZES):
        expect_payload("StreamingOutputCall", response, size)


def ping_pong(channel: grpc.Channel) -> None:
    stub = test_pb2_grpc.TestServiceStub(channel)
    with Requests() as requests:
        responses = stub.FullDuplexCall(requests)
        for request_size, response_size in zip(REQUEST_SIZES, RESPONSE_SIZES):
            requests.send(output_request(response_size, request_size=request_size))
            expect_payload("FullDuplexCall", next(responses), response_size)
        requests.close()
        expect_end("FullDuplexCall", responses)


def empty_stream(channel: grpc.Channel) -> None:
    stub = test_pb2_grpc.TestServiceStub(channel)
    expect_end("FullDuplexCall", stub.FullDuplexCall(iter(())))


def timeout_on_sleeping_server(channel: grpc.Channel) -> None:
    stub = test_pb2_grpc.TestServiceStub(channel)
    with Requests() as requests:
        responses = stub.FullDuplexCall(requests, timeout=0.001)
        requests.send(output_request(request_size=27182))
        expect_status(
            "FullDuplexCall",
            lambda: next(responses),
            grpc.StatusCode.DEADLINE_EXCEEDED,
        )


def cancel_after_begin(channel: grpc.Channel) -> None:
    stub = test_pb2_grpc.TestServiceStub(channel)
    with Requests() as requests:
        call = stub.StreamingInputCall.future(requests)
        call.cancel()
        expect("StreamingInputCall: cancelled", call.cancelled(), True)
        expect("StreamingInputCall: code", call.code(), grpc.StatusCode.CANCELLED)


def cancel_after_first_response(channel: grpc.Channel) -> None:
    stub = test_pb2_grpc.TestServiceStub(channel)
    with Requests() as requests:
        responses = stub.FullDuplexCall(requests)
        requests.send(output_request(31415, request_size=27182))
        expect_payload("FullDuplexCall", next(responses), 31415)
        responses.cancel()
        expect_status(
            "FullDuplexCall", lambda: next(responses), grpc.StatusCode.CANCELLED
        )


def status_code_and_message(channel: grpc.Channel) -> None:
    stub = test_pb2_grpc.TestServiceStub(channel)
    code = grpc.StatusCode.UNKNOWN
    status = messages_pb2.EchoStatus(code=code.value[0], message=STATUS_MESSAGE)
    expect_status(
        "UnaryCall",
        lambda: stub.UnaryCall(messages_pb2.SimpleRequest(response_status=status)),
        code,
        STATUS_MESSAGE,
    )
    request = messages_pb2.StreamingOutputCallRequest(response_status=status)
    responses = stub.FullDuplexCall(iter((request,)))
    expect_status("FullDuplexCall", lambda: next(responses), code, STATUS_MESSAGE)


def special_status_message(channel: grpc.Channel) -> None:
    stub = test_pb2_grpc.TestServiceStub(channel)
    code = grpc.StatusCode.UNKNOWN
    status = messages_pb2.EchoStatus(code=code.value[0], message=SPECIAL_STATUS_MESSAGE)
    request = messages_pb2.SimpleRequest(response_status=status)
    expect_status(
        "UnaryCall",
        lambda: stub.UnaryCall(request, timeout=10),
        code,
        SPECIAL_STATUS_MESSAGE,
    )


def expect_echo(what: str, call: grpc.Call) -> None:
    """The call must have echoed each of the two metadata keys exactly once."""
    for where, metadata, (key, want) in (
        ("header", call.initial_metadata(), ECHO_INITIAL),
        ("trailer", call.trailing_metadata(), ECHO_TRAILING),
    ):
        got = [value for name, value in metadata if name == key]
        expect(f"{what}: {key} in the {where}", got, [want])


def custom_metadata(channel: grpc.Channel) -> None:
    stub = test_pb2_grpc.TestServiceStub(channel)
    metadata = (ECHO_INITIAL, ECHO_TRAILING)
    response, call = stub.UnaryCall.with_call(simple_request(1, 1), metadata=metadata)
    expect_payload("UnaryCall", response, 1)
    expect_echo("UnaryCall", call)

    with Requests() as requests:
        responses = stub.FullDuplexCall(requests, metadata=metadata)
        requests.send(output_request(1, request_size=1))
        expect_payload("FullDuplexCall", next(responses), 1)
        requests.close()
        expect_end("FullDuplexCall", responses)
        expect_echo("FullDuplexCall", responses)


def unimplemented_method(channel: grpc.Channel) -> None:
    stub = test_pb2_grpc.TestServiceStub(channel)
    expect_status(
        "TestService/UnimplementedCall",
        lambda: stub.UnimplementedCall(empty_pb2.Empty()),
        grpc.StatusCode.UNIMPLEMENTED,
    )


def unimplemented_service(channel: grpc.Channel) -> None:
    stub = test_pb2_grpc.UnimplementedServiceStub(channel)
    expect_status(
        "UnimplementedService/UnimplementedCall",
        lambda: stub.UnimplementedCall(empty_pb2.Empty()),
        grpc.StatusCode.UNIMPLEMENTED,
    )


CASES = {
    case.__name__: case
    for case in (
        empty_unary,
        large_unary,
        client_streaming,
        server_streaming,
        ping_pong,
        empty_stream,
        timeout_on_sleeping_server,
        cancel_after_begin,
        cancel_after_first_response,
        status_code_and_message,
        special_status_message,
        custom_metadata,
        unimplemented_method,
        unimplemented_service,
    )
}


def main() -> str | None:
    """Returns why the case failed, or nothing."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--server_host", default="localhost")
    parser.add_argument("--server_port", type=int, default=10000)
    parser.add_argument("--server_host_override")
    flags.add_use_tls(parser)
    parser.add_argument("--ca_file")
    flags.add_compression(parser)
    parser.add_argument("--test_case", choices=CASES, default="large_unary")
    options = parser.parse_args()

    host = options.server_host
    target = f"[{host}]" if ":" in host else host
    target += f":{options.server_port}"
    # The matrix runs on one machine: a proxy of the environment has no place in it.
    settings = [("grpc.enable_http_proxy", 0)]
    if options.use_tls:
        roots = flags.read_pem(parser, "--ca_file", options.ca_file)
        if options.server_host_override:
            settings.append(
                ("grpc.ssl_target_name_override", options.server_host_override)
            )
        credentials = grpc.ssl_channel_credentials(roots)
        channel = grpc.secure_channel(
            target, credentials, options=settings, compression=flags.compression(options)
        )
    else:
        channel = grpc.insecure_channel(
            target, options=settings, compression=flags.compression(options)
        )

    with channel:
        try:
            CASES[options.test_case](channel)
        except CaseFailed as failure:
            return str(failure)
        except grpc.RpcError as error:
            return f"{error.code()}: {error.details()!r}"
        except StopIteration:
            return "the stream ended before the response"
    return None


if __name__ == "__main__":
    failure = main()
    if failure is not None:
        print(failure, file=sys.stderr, flush=True)
    # Ends without the interpreter's clean-up: that stops grpcio's threads wherever they are, and
    # when one of them holds a call's lock, the call's finalizer waits for it for ever.
    os._exit(0 if failure is None else 1)
