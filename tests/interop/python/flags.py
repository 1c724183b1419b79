"""What the interop server and client share of their command lines."""

import argparse

import grpc

_TRUE = {"1", "t", "T", "true", "TRUE", "True"}
_FALSE = {"0", "f", "F", "false", "FALSE", "False"}


def boolean(text: str) -> bool:
    """Reads a boolean as Go's flag package does."""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise argparse.ArgumentTypeError(f"{text!r} is not a boolean")


def add_compression(parser: argparse.ArgumentParser) -> None:
    """Adds --compression, by which this side compresses what it sends."""
    parser.add_argument("--compression", choices=("gzip",))


def compression(options: argparse.Namespace) -> grpc.Compression:
    """Returns what --compression says, for grpcio."""
    if options.compression == "gzip":
        return grpc.Compression.Gzip
    return grpc.Compression.NoCompression


def add_use_tls(parser: argparse.ArgumentParser) -> None:
    """Adds --use_tls, which means true when it stands alone."""
    parser.add_argument("--use_tls", type=boolean, nargs="?", const=True, default=False)


def read_pem(parser: argparse.ArgumentParser, flag: str, path: str | None) -> bytes:
    """Returns the contents of the file that `flag` names, or ends the program."""
    if not path:
        parser.error(f"--use_tls needs {flag}")
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        parser.error(f"{flag}: {error}")
