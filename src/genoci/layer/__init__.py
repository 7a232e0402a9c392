"""Trees to layer blobs and back: the only place that knows tar and whiteouts."""
