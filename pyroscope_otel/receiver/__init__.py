"""Receives what a Pyroscope agent pushes, and decodes it.

```python
with Receiver() as receiver:
    pyroscope.configure(application_name="shop", server_address=receiver.url)
    ...
    pyroscope.shutdown()
    for profile in receiver.profiles:
        ...
```

It needs the extra `receiver`.
"""

from pyroscope_otel.receiver.profiles import (
    Frame,
    MalformedPush,
    Profile,
    PushTooLarge,
    Sample,
    decode_push,
)
from pyroscope_otel.receiver.server import Receiver

__all__ = (
    "Frame",
    "MalformedPush",
    "Profile",
    "PushTooLarge",
    "Receiver",
    "Sample",
    "decode_push",
)
