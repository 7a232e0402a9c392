"""Files of the network: fetched once, checked against a digest, kept under it."""
