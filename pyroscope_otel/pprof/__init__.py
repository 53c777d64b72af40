"""The wire format of profiles: the messages of a push, and gzip from anyone on the network."""
