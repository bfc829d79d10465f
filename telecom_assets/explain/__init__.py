"""What became of a record and why, and what a bill is made of: read from the tables, written nowhere."""
