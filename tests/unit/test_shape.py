"""What `make shape` counts."""

import pytest

from tools.shape import LONGEST_FILE, Shape, measure

SOURCE = '''
class Shown:
    """Documented."""

    def told(self):
        """Documented."""
        def inner():
            return 1
        return inner()

    def untold(self): ...

    def _hidden(self): ...

class _Hidden:
    def whatever(self): ...
'''


def test_a_body_is_counted_without_its_docstring_and_what_is_inside_is_not_public():
    shape = measure(SOURCE, "sample.py")
    assert sorted(shape.bodies) == [1, 1, 1, 1, 3]
    assert (shape.documented, shape.public) == (2, 3)
    assert list(shape.faults()) == ["67% of public definitions have a docstring; 80% at least"]


def test_a_file_that_is_one_line_too_long_is_named():
    assert measure("\n" * LONGEST_FILE, "fits.py").long_files == []
    assert list(measure("\n" * (LONGEST_FILE + 1), "long.py").faults()) == [
        f"long.py has {LONGEST_FILE + 1} lines; {LONGEST_FILE} lines at most"
    ]


@pytest.mark.parametrize(("bodies", "broken"), [([1] * 90 + [16] * 10, True), ([1] * 91 + [16] * 9, False)])
def test_one_long_body_in_ten_is_too_many(bodies, broken):
    assert bool(list(Shape(bodies).faults())) is broken
