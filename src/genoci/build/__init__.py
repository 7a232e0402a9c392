"""The verb: targets become images."""
