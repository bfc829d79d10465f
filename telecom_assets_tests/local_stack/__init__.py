"""The local stack, tested with its real servers."""
