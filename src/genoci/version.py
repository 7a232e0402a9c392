"""Which genoci this is."""

VERSION = "0.1.0"
