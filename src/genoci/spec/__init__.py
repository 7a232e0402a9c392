"""YAML text to Target values; every mistake named by file, line and column."""
