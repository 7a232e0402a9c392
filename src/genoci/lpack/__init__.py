"""One image changed by hand: checked out, checked in; and the filesystem that this stands on."""
