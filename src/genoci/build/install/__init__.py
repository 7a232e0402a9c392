"""The `install` step: packages into a root by its own manager, or as files without one."""
