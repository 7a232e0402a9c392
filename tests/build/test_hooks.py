"""`pre` and `post`: what they see, what they may, and that nothing is left of them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from genoci.build.events import Stepped, Warned
from genoci.build.operations import clean
from genoci.errors import UsageError
from genoci.snapshot.driver import Driver
from workshop import Workshop, member


@pytest.fixture(params=["overlay", "copy"])
def driver(request: pytest.FixtureRequest) -> Driver:
    return Driver(request.param)


@pytest.fixture
def base(workshop: Workshop, rootfs: Path) -> str:
    """A target `base`: busybox, and an /etc/resolv.conf of its own."""
    workshop.tarball("etc.tar", member("etc", b"5"), ("etc/resolv.conf", "the image's\n"))
    workshop.write("resolv.conf", "nameserver 192.0.2.53\n")
    return f"base: {{base: empty, expand: [{rootfs}, etc.tar]}}\n"


def target(workshop: Workshop, base: str, text: str, **options: object) -> str:
    """Build the target `t` on `base`, and give what it printed; it must not fail."""
    indented = "".join(f"  {line}\n" for line in text.strip("\n").splitlines())
    outcome = workshop.build(f"{base}t:\n  base: base\n{indented}", **options)
    assert outcome.ok, outcome.failed
    return workshop.output()


def genoci(workshop: Workshop, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(workshop, *words), capture_output=True, text=True, check=False)


def command(workshop: Workshop, *words: str) -> list[str]:
    places = ["--layout", str(workshop.layout_path), "--state", str(workshop.state)]
    return [sys.executable, "-m", "genoci", *places, "--progress", "plain", *words]


CLASSIC = """
pre: mount --bind resolv.conf "$GENOCI_ROOTFS/etc/resolv.conf"
run: cat /etc/resolv.conf
"""


def test_run_sees_a_resolv_conf_that_pre_has_mounted_and_the_layer_does_not_have_it(
    workshop: Workshop, base: str, driver: Driver
) -> None:
    assert target(workshop, base, CLASSIC, driver=driver) == "nameserver 192.0.2.53\n"
    assert workshop.layers("t") == workshop.layers("base"), "nothing changed, no layer"


def test_what_hooks_write_is_in_the_layer_with_every_driver(
    workshop: Workshop, base: str, epoch: int
) -> None:
    text = """
pre: mkdir -p %ROOT%/opt/a && echo one > %ROOT%/opt/a/one && touch %ROOT%/gone
copy: resolv.conf /opt/two
run: test -e /opt/a/one && test -e /gone && echo three > /opt/three
post: |
  test -e %ROOT%/opt/three
  rm %ROOT%/gone
  ln %ROOT%/opt/a/one %ROOT%/opt/four
"""
    layers = set()
    for name in ("overlay", "copy"):
        target(workshop, base, text, driver=Driver(name), epoch=epoch)
        layers.add(tuple(workshop.layers("t")))
        tree = workshop.tree("t")
        assert sorted(tree.names(b"opt")) == [b"a", b"four", b"three", b"two"]
        assert tree.node(b"gone") is None
    assert len(layers) == 1


def test_hooks_alone_can_write_a_whole_root(workshop: Workshop) -> None:
    outcome = workshop.build("t: {base: empty, pre: 'echo hello > %ROOT%/hello; umask'}")
    assert outcome.ok, outcome.failed
    assert workshop.text("t", "hello") == "hello\n"
    assert workshop.output() == "0022\n"
    node = workshop.tree("t").node(b"hello")
    assert node is not None
    assert (node.entry.uid, node.entry.gid, node.entry.mode) == (0, 0, 0o644)


def test_a_hook_has_the_callers_environment_and_the_files_directory(
    workshop: Workshop, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_THE_CALLER", "his own")
    monkeypatch.setenv("GENOCI_STATUS", "of a build around this one")
    text = """
pre: |
  pwd; echo "$OF_THE_CALLER, $GENOCI_TARGET, ${GENOCI_STATUS-none}"
  test %ROOT% = "$GENOCI_ROOTFS" && test -d "%ROOT%/etc" && echo same
  cat; readlink /proc/self/fd/0; ls /proc/self/fd | wc -l; echo here > written-by-pre
run: env | grep GENOCI || echo nothing
post: echo "$GENOCI_STATUS"
"""
    said = target(workshop, base, text).splitlines()
    assert said[0] == str(workshop.folder)
    # Its three streams, and the folder that ls reads.
    expected = ["his own, t, none", "same", "/dev/null", "4", "nothing", "0"]
    assert said[1:] == expected
    assert (workshop.folder / "written-by-pre").read_text() == "here\n"
    steps = [event.step.split(":")[0] for event in workshop.events if isinstance(event, Stepped)]
    assert steps[-3:] == ["pre", "run", "post"]


def test_copy_writes_to_the_root_itself_beneath_what_pre_has_mounted(
    workshop: Workshop, base: str
) -> None:
    text = """
pre: mount -t tmpfs none %ROOT%/etc && echo hidden > %ROOT%/etc/hidden
copy: resolv.conf /etc/copied
run: ls /etc; touch /etc/lost
"""
    assert "hidden\n" in target(workshop, base, text)
    names = set(workshop.tree("t").names(b"etc"))
    assert b"copied" in names
    assert not names & {b"hidden", b"lost"}


def test_nothing_is_made_in_what_a_hook_has_mounted_on_etc(workshop: Workshop, base: str) -> None:
    workshop.write("etc/passwd", "root:x:0:0::/:/bin/sh\n")
    text = "pre: mount --bind etc %ROOT%/etc\nrun: ls /etc"
    assert target(workshop, base, text) == "passwd\n"
    assert os.listdir(workshop.folder / "etc") == ["passwd"]


SCRIPTS = {
    "with-mode.py": ("#!/usr/bin/env python3\nimport sys\nprint('python', len(sys.argv))\n", 0o755),
    "without-mode.py": ("#!/usr/bin/env  python3 \nprint('python')\n", 0o644),
    "for-the-shell": ('echo "$0" in sh; false; echo not reached\n', 0o644),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_run_as_its_first_line_says(workshop: Workshop, base: str, name: str) -> None:
    content, mode = SCRIPTS[name]
    workshop.write(name, content, mode)
    outcome = workshop.build(f"{base}t: {{base: base, pre: ./{name}}}")
    if name == "for-the-shell":
        (failure,) = outcome.failed
        assert failure.tail == (f"{workshop.folder / name} in sh",)
        assert failure.status == 1
    else:
        assert outcome.ok, outcome.failed
        assert workshop.output().startswith("python")


def test_an_interpreter_that_is_not_there_is_an_error(workshop: Workshop, base: str) -> None:
    workshop.write("script", "#!/no/such/interpreter\n", 0o755)
    (failure,) = workshop.build(f"{base}t: {{base: base, pre: ./script}}").failed
    assert failure.kind == "BuildError"
    assert "interpreter in the #! line of script" in failure.what
    assert failure.where == "target t, pre: script"


def test_a_shell_text_may_be_longer_than_an_argument(workshop: Workshop, base: str) -> None:
    lines = "\n".join(["    : " + "x" * 1000] * 200)
    assert target(workshop, base, f"pre: |\n{lines}\n    echo end") == "end\n"


def test_percent_root_where_the_path_is_not_one_word_is_an_error(
    workshop: Workshop, base: str
) -> None:
    workshop.state = workshop.folder / "a state"
    yaml = f"{base}t: {{base: base, pre: 'touch %ROOT%/x'}}"
    (failure,) = workshop.build(yaml).failed
    assert "%ROOT%" in failure.what and "$GENOCI_ROOTFS" in failure.mend
    assert target(workshop, base, """pre: 'touch "$GENOCI_ROOTFS/x"'""") == ""
    assert workshop.text("t", "x") == ""


# How it fails.


def test_a_failed_pre_fails_the_target_and_post_is_told(workshop: Workshop, base: str) -> None:
    outcome = workshop.build(
        f"{base}t:\n  base: base\n  pre: ['echo one; exit 3', echo never]\n"
        "  run: echo not this either\n  post: [echo post $GENOCI_STATUS]\n"
    )
    (failure,) = outcome.failed
    assert (failure.kind, failure.status, failure.tail) == ("StepFailed", 3, ("one",))
    assert failure.where == "target t, pre: echo one; exit 3"
    assert workshop.output() == "one\npost 3\n"
    assert "t" not in workshop.layout.tags()


@pytest.mark.parametrize(("step", "status"), [("run: exit 7", 7), ("copy: etc.tar /etc/x/y", 0)])
def test_post_runs_after_a_failed_step_with_its_status(
    workshop: Workshop, base: str, step: str, status: int
) -> None:
    if not status:  # the file goes between the reading of the YAML and the step
        pre, status = "rm etc.tar.copy", 1
        workshop.write("etc.tar.copy", "")
        step = "copy: etc.tar.copy /x"
    else:
        pre = "true"
    yaml = f"{base}t:\n  base: base\n  pre: {pre}\n  {step}\n  post: echo $GENOCI_STATUS\n"
    (failure,) = workshop.build(yaml).failed
    assert failure.where.startswith(f"target t, {step.split()[0]}")
    assert workshop.output() == f"{status}\n"


def test_all_of_post_runs_and_its_first_failure_is_the_targets(
    workshop: Workshop, base: str
) -> None:
    (failure,) = workshop.build(
        f"{base}t: {{base: base, post: [exit 4, 'echo then $GENOCI_STATUS; exit 5']}}"
    ).failed
    assert (failure.status, failure.where) == (4, "target t, post: exit 4")
    assert workshop.output() == "then 4\n"


def test_what_fails_in_post_after_a_failure_is_a_warning(workshop: Workshop, base: str) -> None:
    (failure,) = workshop.build(f"{base}t: {{base: base, run: exit 7, post: exit 8}}").failed
    assert failure.status == 7
    (warning,) = (event for event in workshop.events if isinstance(event, Warned) and event.target)
    assert "post: exit 8" in warning.what and "status 8" in warning.what


def test_no_hooks_refuses_before_anything_is_built(workshop: Workshop, base: str) -> None:
    yaml = f"{base}t:\n  base: base\n  post: echo x\n  pre: [echo y, echo z]\n"
    with pytest.raises(UsageError) as caught:
        workshop.build(yaml, hooks=False)
    assert caught.value.where == f"{workshop.folder / 'genoci.yaml'}:4:9"
    assert "2 more" in caught.value.what
    assert not workshop.layout_path.exists()
    assert workshop.build(yaml, "base", hooks=False).ok, "of the targets that are wanted"
    refused = genoci(workshop, "build", "-f", str(workshop.folder / "genoci.yaml"), "--no-hooks")
    assert refused.returncode == 2 and "genoci.yaml:4:9" in refused.stderr


def test_the_failed_root_has_nothing_of_what_hooks_mounted(workshop: Workshop, base: str) -> None:
    text = "pre: mount -t tmpfs none %ROOT%/etc && echo x > %ROOT%/etc/x\n  run: exit 1"
    assert not workshop.build(f"{base}t:\n  base: base\n  {text}\n").ok
    looked = genoci(workshop, "shell", "--failed", "--", "/bin/ls", "/etc")
    names = looked.stdout.split()
    assert "resolv.conf" in names and "x" not in names, looked.stderr


# What `run` can make of it.


def test_what_a_hook_mounts_gives_run_neither_setuid_files_nor_devices(
    workshop: Workshop, base: str
) -> None:
    text = """
pre: |
  mkdir %ROOT%/host && mount --rbind /dev %ROOT%/host
  mkdir %ROOT%/tree && mount --bind . %ROOT%/tree
run: |
  for place in host tree; do grep " /$place " /proc/mounts; done
  cat /host/zero && echo read it
  true
"""
    lines = target(workshop, base, text).splitlines()
    assert len(lines) >= 3
    for line in lines[:2]:
        assert {"nosuid", "nodev"} <= set(line.split()[3].split(",")), line
    assert "ermission denied" in lines[2]


def test_a_hook_that_unmounts_the_root_itself_fails_the_next_run(
    workshop: Workshop, base: str
) -> None:
    yaml = f"{base}t: {{base: base, pre: umount -l %ROOT%, run: 'true'}}"
    (failure,) = workshop.build(yaml).failed
    assert "not the root itself" in failure.mend
    assert failure.where == "target t, run: true"


@pytest.mark.root_only
def test_a_block_device_can_not_be_mounted_not_even_by_root(workshop: Workshop, base: str) -> None:
    image = workshop.write("image", b"")
    os.truncate(image, 4 << 20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    losetup = ["losetup", "--find", "--show", image]
    device = subprocess.run(losetup, capture_output=True, text=True, check=True).stdout.strip()
    try:
        yaml = f"{base}t: {{base: base, pre: mount -t ext4 {device} %ROOT%/etc}}"
        (failure,) = workshop.build(yaml).failed
        assert "ermission denied" in failure.tail[0], failure
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


def test_what_a_hook_mounts_read_only_can_not_be_written_and_the_rest_can(
    workshop: Workshop, base: str
) -> None:
    for name in ("open", "shut"):
        (workshop.folder / name).mkdir()
    text = """
pre: |
  mkdir %ROOT%/open %ROOT%/shut
  mount --bind open %ROOT%/open
  mount --bind shut %ROOT%/shut && mount -o remount,bind,ro %ROOT%/shut
run: |
  echo x > /open/x; echo x > /shut/x || echo refused
  mount -o remount,bind,rw /shut 2>&1 || umount /shut 2>&1 || echo refused
  ls /open/.. /open/../.. | grep -q '^open' && ls /proc/1/root 2>&1 | head -1
  ls -d /proc/[0-9]* | wc -l
"""
    said = target(workshop, base, text)
    assert said.count("refused") == 2
    assert os.listdir(workshop.folder / "open") == ["x"]
    assert os.listdir(workshop.folder / "shut") == []
    assert workshop.tree("t").names(b"open") == []


def test_a_link_of_the_image_leads_a_hook_no_further_than_its_own_namespace(
    workshop: Workshop, rootfs: Path
) -> None:
    """mount(8) follows it on the host's side; the host itself never sees that."""
    victim = workshop.write("victim", "of the host")
    link = member("etc/resolv.conf", b"2", linkname=str(victim))
    workshop.tarball("etc.tar", member("etc", b"5"), link)
    workshop.write("resolv.conf", "nameserver 192.0.2.53\n")
    base = f"base: {{base: empty, expand: [{rootfs}, etc.tar]}}\n"
    text = CLASSIC.replace("cat /etc/resolv.conf", "ls /etc")
    target(workshop, base, text)
    assert victim.read_text() == "of the host"
    assert workshop.layers("t") == workshop.layers("base")


ANOTHER = """
import os, sys
from pathlib import Path
import genoci.build.rooted, genoci.build.straight, genoci.build.hooks, genoci.sandbox.hooks
import yaml, isal.isal_zlib, pyseccomp, bz2, lzma, backports.zstd
from genoci import linux
from genoci.build.schedule import Request, build
from genoci.layer.compression import Compression
folder = Path(sys.argv[1])
os.setgroups([]); os.setgid(54321); os.setuid(54321)
linux.prctl(linux.PR_SET_DUMPABLE, 1)  # as after the execve of a login
request = Request(file=folder / "genoci.yaml", layout=folder / "oci", state=folder / "state",
                  compression=Compression.parse("gzip"))
for event in build(request, lambda event: print(event)).failed:
    print("FAILED", event)
"""


@pytest.mark.root_only
def test_hooks_work_without_subordinate_ids(rootfs: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Workshop(Path(folder))
        place.folder.chmod(0o755)
        place.write("rootfs.tar.gz", rootfs.read_bytes())
        place.write("resolv.conf", "nameserver 192.0.2.53\n")
        place.write(
            "genoci.yaml",
            "base: {base: empty, expand: rootfs.tar.gz}\n"
            "t:\n  base: base\n  pre:\n  - touch %ROOT%/etc/resolv.conf\n"
            "  - mount --bind resolv.conf %ROOT%/etc/resolv.conf\n  run: cat /etc/resolv.conf\n",
        )
        for name in ("oci", "state"):
            (place.folder / name).mkdir()
            os.chown(place.folder / name, 54321, 54321)
        words = [sys.executable, "-c", ANOTHER, place.folder]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert "nameserver 192.0.2.53" in done.stdout, done.stdout + done.stderr
        assert "FAILED" not in done.stdout
        assert place.text("t", "etc/resolv.conf") == ""
        clean(place.state, lambda event: None)


def test_a_target_is_built_again_when_the_content_of_its_hook_changes(
    workshop: Workshop, base: str
) -> None:
    yaml = f"{base}t: {{base: base, pre: ./hook}}"
    ran = []
    for content in ("echo one\n", "echo one\n", "echo two\n"):
        os.utime(workshop.write("hook", content))
        assert workshop.build(yaml, use_cache=True).ok
        ran.append(workshop.output())
    assert ran == ["one\n", "", "two\n"]
