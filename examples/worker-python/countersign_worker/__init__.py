"""A Countersign worker. What it does is in docs/worker-protocol.md; section numbers in these files are that page's."""
