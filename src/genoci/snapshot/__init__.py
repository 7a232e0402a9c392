"""Copy-on-write roots, keyed by chain ID."""
