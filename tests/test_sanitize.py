"""What takes seconds of `make sanitize`: the compiled part as it is, by a few of its tests, and that something would be
found: a bug that is planted into it ends the process that meets it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.processes import DEADLINE
from tests.sanitize import MODULE, NoSanitizers, built, copied, environment

LEGS = ("NativeRelayTests", "NativeRelayOverOwnTlsTests")
WAYS = ("all_on_one_leg", "wrong_frames", "one_byte_at_a_time", "reset", "refused", "leg_lost_during_dial")
QUICK = (
    "NativePumpTests", "NativePiecesTests", "NativeBeginningTests", "NativeHangUpTests", "NativeLastBytesTests",
    "DifferenceTests", "SocketTests", *(f"{legs}.test_{way}" for legs in LEGS for way in WAYS),
)  # fmt: skip
"""Of tests.net.test_native."""

PLANTED = """
#define PY_SSIZE_T_CLEAN
#include <Python.h>

static PyObject *
over(PyObject *self, PyObject *number)
{
    (void)self;
    long place = PyLong_AsLong(number);
    char *block = malloc(16);
    block[0] = 1;
    long read = block[place];
    free(block);
    return PyLong_FromLong(read);
}

static PyObject *
much(PyObject *self, PyObject *number)
{
    (void)self;
    int most = (int)PyLong_AsLong(number);
    return PyLong_FromLong(most + 1);
}

static PyObject *
gone(PyObject *self, PyObject *list)
{
    (void)self;
    PyObject *first = PyList_GET_ITEM(list, 0);
    PyList_SetSlice(list, 0, 1, NULL);
    return PyLong_FromSsize_t(Py_REFCNT(first));
}

static PyMethodDef methods[] = {
    {"over", over, METH_O, NULL}, {"much", much, METH_O, NULL}, {"gone", gone, METH_O, NULL}, {NULL, NULL, 0, NULL},
};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_native", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC
PyInit__native(void)
{
    return PyModule_Create(&module);
}
"""


class SanitizeTests(SynchronousTestCase):
    """What is, and bugs of the kinds that C has."""

    def tree(self) -> Path:
        """Return a copy of the tree."""
        return copied(Path(self.mktemp()).absolute())

    def build(self, folder: Path) -> dict[str, str]:
        """Build in a copy; return the environment for it."""
        try:
            env = environment(folder)
            built(folder)
        except NoSanitizers as missing:
            raise SkipTest(f"no sanitizers here: {missing}") from None
        return env

    def test_quick(self) -> None:
        """The tests about the pump, local connections and sockets, and a few of each kind of legs, all of them run."""
        folder = self.tree()
        env = self.build(folder)
        tests = [f"tests.net.test_native.{name}" for name in QUICK]
        command = [sys.executable, "-m", "tests.run", *tests]
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=4 * DEADLINE)
        self.assertEqual(done.returncode, 0, done.stdout[-3000:] + done.stderr[-3000:])
        self.assertRegex(done.stdout.splitlines()[-1], "^[1-9][0-9]+ passed, 0 failed, 0 skipped$")

    def test_found(self) -> None:
        """A byte behind the end, a number that does not fit and an object that is gone are found; what is right is
        not."""
        folder = self.tree()
        for source in (folder / "gotunnel/net/fast/native").iterdir():
            source.unlink()
        (folder / "gotunnel/net/fast/native/planted.c").write_text(PLANTED)
        env = self.build(folder)
        over = "AddressSanitizer: heap-buffer-overflow|runtime error: load of address .* with insufficient space"
        for call, found in (
            ("over(0), m.much(7), m.gone([m])", ""),
            ("over(16)", over),
            ("much(2**31 - 1)", "runtime error: signed integer overflow"),
            ("gone([object()])", "AddressSanitizer: heap-use-after-free"),
        ):
            script = f"import {MODULE} as m; m.{call}"
            done = subprocess.run(
                [sys.executable, "-c", script], cwd=folder, env=env, capture_output=True, text=True, timeout=DEADLINE
            )
            self.assertEqual(done.returncode != 0, found != "", f"{call}: {done.stderr[-2000:]}")
            self.assertRegex(done.stderr, found or "^$")
