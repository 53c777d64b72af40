"""Inflating gzip from anyone on the network: never more of it than is allowed."""

from __future__ import annotations

import zlib

__all__ = ("MalformedGzip", "TooLarge", "inflate")


class MalformedGzip(ValueError):  # noqa: N818 -- reads better where it is raised and caught
    """The bytes are not one whole gzip stream. The message completes "the body ..."."""


class TooLarge(ValueError):  # noqa: N818 -- same
    """The stream inflates to more than is allowed."""


def inflate(data: bytes, max_bytes: int) -> bytes:
    """Inflate one gzip stream.

    Args:
        data: The stream, and nothing after it.
        max_bytes: The most bytes that may come out.

    Raises:
        TooLarge: More would come out. The rest is not inflated.
        MalformedGzip: It is no gzip, truncated, or something follows it.
    """
    decompressor = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)  # 16: gzip, nothing else
    try:
        # One byte more than allowed is enough to know.
        inflated = decompressor.decompress(data, max_bytes + 1)
    except zlib.error as error:
        raise MalformedGzip("is not gzip") from error
    if len(inflated) > max_bytes:
        raise TooLarge(f"inflates to more than {max_bytes} bytes")
    if not decompressor.eof:
        raise MalformedGzip("is truncated gzip")
    if decompressor.unused_data:
        raise MalformedGzip("has data after its gzip stream")
    return inflated
