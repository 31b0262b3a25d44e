"""The demo's lakes: what fills them and where it comes from."""
