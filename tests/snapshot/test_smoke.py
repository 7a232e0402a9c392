from pathlib import Path
import os
def script1(root):
    (root/"a").write_text("a"); os.link(root/"a", root/"b"); (root/"d").mkdir(); (root/"d/x").write_text("x")
    (root/"s").symlink_to("a")
    os.chown(root/"d/x", 5, 6)
def test_it(bench):
    one = bench.build(script1)
    assert one.names == ["./", "a", "b", "d/", "d/x", "s"], one.names
    def script2(root):
        (root/"d/x").unlink(); (root/"c").write_text("c")
        (root/"d/y").mkdir()
    two = bench.build(script2, on=one)
    assert two.names == ["c", "d/", "d/.wh.x", "d/y/"], two.names
    assert bench.tree(two) == bench.extracted(two)
