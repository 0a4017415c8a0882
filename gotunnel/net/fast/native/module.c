/* The module gotunnel.net.fast._native: the inner part of the fast relay, compiled. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

static struct PyModuleDef_Slot slots[] = {
    {0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "gotunnel.net.fast._native",
    .m_doc = "The inner part of the fast relay, compiled.",
    .m_slots = slots,
};

PyMODINIT_FUNC
PyInit__native(void)
{
    return PyModuleDef_Init(&module);
}
