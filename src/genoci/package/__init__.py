"""Package files (.deb, .rpm): what they say of themselves, and what they hold.

Three doors, and nobody outside needs another:

- `archive.recognise(path, named, sha256=None)`: the Archive that a file is, read by its content
  and found whole; anything else is an ArchiveError.
- `architecture.check_architecture(archive, platform)`: raises BuildError if what is in it can't
  run there.
- `install.install_members(archives, tree, skip_scripts=(), epoch=None, warn=…)`: what a batch
  puts into a root that has no package manager, as members for `Draft.place` or `extract.expand`:
  the packages' files, and at the end what registers them. The members' contents pass once.

Package files are hostile. All of it is Python, in a process that the kernel confines, and nothing
in them makes us allocate what they merely claim.
"""
