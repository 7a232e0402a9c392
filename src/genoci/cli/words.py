"""Words of other tools, and where genoci has what they stand for."""

from __future__ import annotations

_PUSH = "Copy it with skopeo: skopeo copy oci:LAYOUT:TAG docker://HOST/NAME:TAG"
_PULL = "Copy it with skopeo: skopeo copy docker://HOST/NAME:TAG oci:LAYOUT:TAG"
_REGISTRY = "genoci speaks to no registry; skopeo login and skopeo copy do."
_CONTAINERS = "genoci builds images and keeps no containers running."
_YAML = "Images are made by targets in a YAML file:"
_INSTALL = f"{_YAML} `install: NAME…`, or files or addresses of packages; genoci build"
_NEWEST = "Packages are pinned, at what is newest now, by: genoci lock"

ANSWERS = {
    # looking
    "images": "The tags of the layout: genoci ls",
    "image": "The tags of the layout: genoci ls; one of them: genoci inspect TAG",
    "list": "The tags of the layout: genoci ls",
    "tags": "The tags of the layout: genoci ls",
    "history": "The history is part of: genoci inspect TAG",
    "stat": "Manifest, layers and history: genoci inspect TAG",
    "show": "Manifest, config, layers and history: genoci inspect TAG",
    "manifest": "The manifest is part of: genoci inspect TAG --json",
    "info": "An image: genoci inspect TAG; the layout: genoci ls",
    # making
    "new": f"{_YAML} `base: empty` starts from nothing.",
    "init": f"Nothing is to be set up: the first build makes the layout. {_YAML} genoci build",
    "create": f"{_YAML} `base: empty` starts from nothing; genoci build",
    "from": f"{_YAML} `base: TAG` says what a target stands on.",
    "add": f"{_YAML} `copy: SRC DEST` or `expand: TARBALL`; genoci build",
    "copy": f"{_YAML} `copy: SRC DEST`; genoci build",
    "cp": f"{_YAML} `copy: SRC DEST`; out of an image: genoci unpack TAG DIR",
    "insert": f"{_YAML} `copy: SRC DEST` puts files into a layer; genoci build",
    "expand": f"{_YAML} `expand: TARBALL`; genoci build",
    "import": f"{_YAML} `base: empty` with `expand: TARBALL`; genoci build",
    "repack": f"{_YAML} what a target's `copy` and `run` change becomes its layer; genoci build",
    "commit": f"{_YAML} what a target's `copy` and `run` change becomes its layer; genoci build",
    "bud": "genoci build -f FILE.yaml",
    "buildx": "genoci build -f FILE.yaml",
    "make": "genoci build -f FILE.yaml",
    "Dockerfile": f"{_YAML} `base` for FROM, `run` for RUN, `copy` for COPY; genoci build",
    "install": _INSTALL,
    "apt": _INSTALL,
    "apt-get": _INSTALL,
    "dnf": _INSTALL,
    "yum": _INSTALL,
    "zypper": _INSTALL,
    "apk": _INSTALL,
    "dpkg": _INSTALL,
    "rpm": _INSTALL,
    "update": _NEWEST,
    "upgrade": _NEWEST,
    "pin": _NEWEST,
    "freeze": _NEWEST,
    # running
    "run": f"{_YAML} `run: COMMAND`. To look around in an image: genoci shell TAG -- COMMAND",
    "exec": "In a throw-away copy of an image: genoci shell TAG -- COMMAND",
    "enter": "In a throw-away copy of an image: genoci shell TAG",
    "chroot": "In a throw-away copy of an image: genoci shell TAG",
    "ps": _CONTAINERS,
    "start": _CONTAINERS,
    "stop": _CONTAINERS,
    "kill": _CONTAINERS,
    "logs": _CONTAINERS,
    "attach": _CONTAINERS,
    "containers": _CONTAINERS,
    # registries and archives
    "push": _PUSH,
    "pull": _PULL,
    "fetch": f"{_YAML} `install: {{src: URL, sha256: …}}` fetches a package; an image: {_PULL}",
    "login": _REGISTRY,
    "logout": _REGISTRY,
    "search": _REGISTRY,
    "save": "The root filesystem: genoci export TAG FILE.tar; "
    "the image: skopeo copy oci:LAYOUT:TAG oci-archive:FILE.tar",
    "load": "Copy it with skopeo: skopeo copy docker-archive:FILE.tar oci:LAYOUT:TAG",
    # changing and removing
    "raw": "genoci unpack TAG DIR; genoci config TAG …; genoci inspect TAG --json",
    "label": "genoci config TAG --label K=V",
    "annotate": "genoci config TAG --annotation K=V",
    "rename": "genoci tag TAG NEW, then genoci rm TAG",
    "rmi": "genoci rm TAG, then genoci gc",
    "remove": "genoci rm TAG, then genoci gc",
    "delete": "genoci rm TAG, then genoci gc",
    "untag": "genoci rm TAG",
    "prune": "What no tag reaches: genoci gc; the state: genoci clean",
    "system": "What no tag reaches: genoci gc; the state: genoci clean",
    "mount": "To change it: lpack checkout TAG; to look around: genoci shell TAG",
    "umount": "genoci mounts nothing that outlives it; a checkout ends with: lpack checkin",
    "unmount": "genoci mounts nothing that outlives it; a checkout ends with: lpack checkin",
    "checkout": "lpack checkout TAG",
    "checkin": "lpack checkin [NEWTAG]",
    "edit": "To change an image by hand: lpack checkout TAG, then lpack checkin",
    "extract": "genoci unpack TAG DIR; as a tarball: genoci export TAG FILE.tar",
    "check": "genoci fsck",
    "verify": "genoci fsck",
    "validate": "genoci fsck",
}

_CHANGE = "lpack checkout TAG, change what is at the path it prints, then lpack checkin"
_IN = "What was changed in the checkout becomes a layer and a tag: lpack checkin NEWTAG"
_LOOK = "In the checkout: lpack chroot; in another image: genoci shell TAG"

OF_LPACK = {
    "mount": _CHANGE,
    "edit": _CHANGE,
    "get": _CHANGE,
    "raw": _CHANGE,
    "from": _CHANGE,
    "clone": _CHANGE,
    "umount": "lpack checkin makes it a layer, lpack abort throws it away.",
    "unmount": "lpack checkin makes it a layer, lpack abort throws it away.",
    "commit": _IN,
    "repack": _IN,
    "save": _IN,
    "put": _IN,
    "add": "Change the files at the path that lpack checkout printed; then lpack checkin",
    "shell": _LOOK,
    "run": _LOOK,
    "exec": _LOOK,
    "enter": _LOOK,
    "reset": "lpack abort, then lpack checkout TAG",
    "restore": "lpack abort, then lpack checkout TAG",
    "revert": "lpack abort, then lpack checkout TAG",
    "cancel": "lpack abort",
    "init": "lpack setup",
    "create": "`empty` is a tag to check out, too: lpack checkout empty",
    "new": "`empty` is a tag to check out, too: lpack checkout empty",
    "expand": "lpack unpack; one tag, in a directory of your own: genoci unpack TAG DIR",
    "tags": "lpack ls",
    "list": "lpack ls",
    "images": "lpack ls",
    "pull": _PULL,
    "push": _PUSH,
}

# Options that `docker build` and its kin have.
_TAG = "The name of a target in the YAML file is its tag; one more: genoci tag TAG NEW"
OF_BUILD = {
    "-t": _TAG,
    "--tag": _TAG,
    "--target": "Targets stand without an option: genoci build TARGET",
    "--platform": "Each target says it in the YAML file: `platform: linux/arm64`",
    "--build-arg": "genoci has no variables; a program that writes the YAML file may have.",
    "--push": _PUSH,
    "-o": "The root filesystem, after the build: genoci export TAG FILE.tar",
    "--output": "The root filesystem, after the build: genoci export TAG FILE.tar",
    "-q": "Errors only: --progress quiet",
    "--quiet": "Errors only: --progress quiet",
}


def answer(word: str) -> str:
    """What genoci has for it; "" if the word is nobody's."""
    return ANSWERS.get(word, "")


def of_lpack(word: str) -> str:
    """What lpack has for it; "" if the word is nobody's."""
    return OF_LPACK.get(word, "")
