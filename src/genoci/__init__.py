"""Builds OCI images from a YAML file: no daemon, no root, no other image tool."""
