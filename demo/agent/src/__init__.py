"""A small but real Cost Agent: what the collection operates in demo and tests."""
