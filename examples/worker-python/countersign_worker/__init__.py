"""A Countersign worker, written from docs/worker-protocol.md. Section numbers in these files are that page's."""
