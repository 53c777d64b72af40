"""The wire format of profiles: push messages, and gzip from untrusted senders."""
