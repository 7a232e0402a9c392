"""Package files (.deb, .rpm): what they say of themselves, and what they hold."""
