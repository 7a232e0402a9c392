"""The words that a YAML file may use as keys, and what others call them."""

from __future__ import annotations

from collections.abc import Collection

from genoci.spec.nodes import Scalar
from genoci.spec.problems import Mistake
from genoci.spec.wording import did_you_mean, listed, near, quoted

STEPS = {
    "expand": "expand: rootfs.tar.gz",
    "copy": "copy: hello.txt /etc/",
    "install": "install: curl ./app.deb",
    "run": "run: echo hello > /etc/motd",
}

# Every key of a target, with an example to show when its value is of the wrong kind.
TARGET = {
    "base": "base: empty",
    **STEPS,
    "pre": "pre: ./before.sh",
    "post": "post: rm -rf %ROOT%/var/cache",
    "steps": "steps: [{copy: a.txt /}, {run: cat /a.txt}]",
    "entrypoint": "entrypoint: /bin/echo hello",
    "cmd": "cmd: [--verbose]",
    "env": "env: {LANG: C.UTF-8}",
    "labels": "labels: {maintainer: me}",
    "annotations": "annotations: {org.opencontainers.image.title: mine}",
    "workdir": "workdir: /srv",
    "user": "user: nobody",
    "stopsignal": "stopsignal: SIGTERM",
    "volumes": "volumes: [/data]",
    "expose": "expose: [8080, 53/udp]",
    "platform": "platform: linux/arm64",
    "cache": "cache: 7d",
}

# What Dockerfiles, compose files and guesses call our keys, in lower case.
_SYNONYMS = {
    "after": "post",
    "annotation": "annotations",
    "apk": "install",
    "apt": "install",
    "apt-get": "install",
    "arch": "platform",
    "architecture": "platform",
    "args": "cmd",
    "before": "pre",
    "checksum": "sha256",
    "command": "cmd",
    "copies": "copy",
    "cwd": "workdir",
    "deb": "install",
    "dependencies": "deps",
    "digest": "sha256",
    "dnf": "install",
    "environment": "env",
    "extract": "expand",
    "files": "copy",
    "from": "base",
    "image": "base",
    "label": "labels",
    "maintainer": "labels",
    "package": "install",
    "packages": "install",
    "parent": "base",
    "ports": "expose",
    "rpm": "install",
    "signal": "stopsignal",
    "stop_signal": "stopsignal",
    "tar": "expand",
    "tarball": "expand",
    "unpack": "expand",
    "url": "src",
    "variables": "env",
    "volume": "volumes",
    "working_dir": "workdir",
    "yum": "install",
    "zypper": "install",
}
# Keys that stand one level deeper: in the mapping of a step.
_DEEPER = {
    "src": "copy: {src: a, dest: /b}",
    "dest": "copy: {src: a, dest: /b}",
    "mode": "copy: {src: a, dest: /b, mode: 0755}",
    "owner": "copy: {src: a, dest: /b, owner: 1000:1000}",
    "exclude": "copy: {src: a, dest: /b, exclude: ['*.o']}",
    "sha256": "expand: {src: a.tar, sha256: …}",
    "strip": "expand: {src: a.tar, strip: 1}",
    "script": "run: {script: ./setup.sh}",
    "shell": "run: {shell: echo hello}",
    "network": "run: {shell: make, network: none}",
    "name": "install: {name: curl}",
    "deps": "install: {src: a.deb, deps: repo}",
    "scripts": "install: {src: a.deb, scripts: skip}",
}
_NONE_HERE = {
    "add": "`expand` unpacks tarballs, `copy` copies files",
    "arg": "genoci has no variables; a program that writes the YAML file may have",
    "build": "a target is built by `expand`, `copy`, `install` and `run`",
    "hooks": "`pre` and `post` run on the host",
    "healthcheck": "the OCI image format has no health checks",
    "onbuild": "the OCI image format has no triggers",
}


def unknown(key: Scalar, allowed: Collection[str]) -> Mistake:
    """A key that is none of `allowed`, with the one that its writer probably meant."""
    word = key.text.lower()
    in_target = "base" in allowed
    what = f"there is no key {quoted(key.text)} here"
    if word in allowed:
        return Mistake(key.place, what, f"did you mean `{word}`?")
    if _SYNONYMS.get(word) in allowed:
        return Mistake(key.place, what, f"here that is `{_SYNONYMS[word]}`")
    if in_target and word in _NONE_HERE:
        return Mistake(key.place, what, _NONE_HERE[word])
    if allowed is STEPS and word in TARGET:
        return Mistake(key.place, what, f"`{word}` stands beside `steps`, not in it")
    if in_target and word in _DEEPER:
        return Mistake(key.place, what, f"it belongs in a step: `{_DEEPER[word]}`")
    keys = list(allowed)
    return Mistake(key.place, what, did_you_mean(word, keys, otherwise=_all(keys)))


def means(key: Scalar, meant: str) -> bool:
    """Whether `key` is another word for `meant`, or nearly it."""
    word = key.text.lower()
    return _SYNONYMS.get(word) == meant or near(word, [meant]) == [meant]


def _all(keys: list[str]) -> str:
    if len(keys) == 1:
        return f"the only key is `{keys[0]}`"
    return f"the keys are {listed(keys, at_most=len(keys))}"
