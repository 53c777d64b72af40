"""Inflates gzip from untrusted senders, up to a size limit."""

from __future__ import annotations

import zlib

__all__ = ("MalformedGzip", "TooLarge", "inflate")


class MalformedGzip(ValueError):  # noqa: N818 -- reads better where it is raised and caught
    """The bytes are not one complete gzip stream. The message completes "the body ..."."""


class TooLarge(ValueError):  # noqa: N818 -- same
    """The stream inflates to more than the limit."""


def inflate(data: bytes, max_bytes: int) -> bytes:
    """Inflate one gzip stream.

    Args:
        data: The stream, with nothing after it.
        max_bytes: The maximum number of inflated bytes.

    Raises:
        TooLarge: If the stream inflates to more. The rest is not inflated.
        MalformedGzip: If it is not gzip, is truncated, or has data after it.
    """
    decompressor = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)  # 16: gzip only
    try:
        # One byte over the limit is enough to detect it.
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
