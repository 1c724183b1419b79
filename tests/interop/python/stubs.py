"""The generated code of grpc/testing/{empty,messages,test}.proto.

Its modules are named after the schemas' folders, `grpc.testing`, but grpcio owns the name
`grpc`; so grpcio's package is made to look for submodules on the rest of the path as well.
"""

import pkgutil

import grpc

grpc.__path__ = pkgutil.extend_path(grpc.__path__, grpc.__name__)

from grpc.testing import empty_pb2, messages_pb2, test_pb2_grpc  # noqa: E402

__all__ = ["empty_pb2", "messages_pb2", "test_pb2_grpc"]
