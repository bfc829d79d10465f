"""Runs: the stages of a month, which of them have something to do, and who asks for them."""
