"""The interop server on grpcio, with the flags and the behaviour of grpc-go's."""

import argparse
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import flags
import grpc
from stubs import empty_pb2, messages_pb2, test_pb2_grpc

ECHO_INITIAL_KEY = "x-grpc-test-echo-initial"
ECHO_TRAILING_KEY = "x-grpc-test-echo-trailing-bin"
STATUS_CODES = {code.value[0]: code for code in grpc.StatusCode}


def echo_metadata(context: grpc.ServicerContext) -> None:
    """Sends back the two metadata keys that a client asks to have echoed."""
    for key, value in context.invocation_metadata():
        if key == ECHO_INITIAL_KEY:
            context.send_initial_metadata(((key, value),))
        elif key == ECHO_TRAILING_KEY:
            context.set_trailing_metadata(((key, value),))


def echo_status(
    request: messages_pb2.SimpleRequest | messages_pb2.StreamingOutputCallRequest,
    context: grpc.ServicerContext,
) -> None:
    """Ends the call with the status that the request asks for, if it asks for one."""
    status = request.response_status
    if status.code != 0:
        code = STATUS_CODES.get(status.code, grpc.StatusCode.UNKNOWN)
        context.abort(code, status.message)


def new_payload(
    kind: int, size: int, context: grpc.ServicerContext
) -> messages_pb2.Payload:
    """Returns `size` zero bytes, or ends the call when that makes no sense."""
    if kind != messages_pb2.COMPRESSABLE:
        context.abort(grpc.StatusCode.UNKNOWN, f"unsupported payload type: {kind}")
    if size < 0:
        context.abort(
            grpc.StatusCode.UNKNOWN,
            f"requested a response with invalid length {size}",
        )
    return messages_pb2.Payload(type=kind, body=bytes(size))


def outputs(
    request: messages_pb2.StreamingOutputCallRequest, context: grpc.ServicerContext
) -> Iterator[messages_pb2.StreamingOutputCallResponse]:
    """Yields the responses that one streaming request describes, at its pace."""
    for parameters in request.response_parameters:
        if parameters.interval_us > 0:
            time.sleep(parameters.interval_us / 1_000_000)
        yield messages_pb2.StreamingOutputCallResponse(
            payload=new_payload(request.response_type, parameters.size, context)
        )


class TestService(test_pb2_grpc.TestServiceServicer):
    """The methods that grpc-go's server has; the base class answers the others
    with UNIMPLEMENTED."""

    def EmptyCall(self, request, context):
        return empty_pb2.Empty()

    def UnaryCall(self, request, context):
        echo_metadata(context)
        echo_status(request, context)
        return messages_pb2.SimpleResponse(
            payload=new_payload(request.response_type, request.response_size, context)
        )

    def StreamingOutputCall(self, request, context):
        yield from outputs(request, context)

    def StreamingInputCall(self, request_iterator: Iterable, context):
        size = sum(len(request.payload.body) for request in request_iterator)
        return messages_pb2.StreamingInputCallResponse(aggregated_payload_size=size)

    def FullDuplexCall(self, request_iterator: Iterable, context):
        echo_metadata(context)
        for request in request_iterator:
            echo_status(request, context)
            yield from outputs(request, context)

    def HalfDuplexCall(self, request_iterator: Iterable, context):
        for request in list(request_iterator):
            yield from outputs(request, context)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--port", type=int, default=10000)
    flags.add_use_tls(parser)
    parser.add_argument("--tls_cert_file")
    parser.add_argument("--tls_key_file")
    flags.add_compression(parser)
    options = parser.parse_args()

    server = grpc.server(
        ThreadPoolExecutor(max_workers=16),
        # A port that another process listens on is an error, not a port to share.
        options=[("grpc.so_reuseport", 0)],
        compression=flags.compression(options),
    )
    test_pb2_grpc.add_TestServiceServicer_to_server(TestService(), server)
    address = f"[::]:{options.port}"
    if options.use_tls:
        key = flags.read_pem(parser, "--tls_key_file", options.tls_key_file)
        chain = flags.read_pem(parser, "--tls_cert_file", options.tls_cert_file)
        credentials = grpc.ssl_server_credentials([(key, chain)])
        port = server.add_secure_port(address, credentials)
    else:
        port = server.add_insecure_port(address)
    server.start()
    print(f"interop server listening on [::]:{port}", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
