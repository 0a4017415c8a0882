/* See core/stream.StreamTally: counts what one stream carries. */

#include "native.h"

int tally_add(PyObject *tally, int received, Py_ssize_t count)
{
    if (!PyObject_TypeCheck(tally, &TallyType))
        return add_to(tally, received ? names.received : names.sent, count);
    if (received)
        ((Tally *)tally)->received += count;
    else
        ((Tally *)tally)->sent += count;
    return 0;
}

PyObject *tally_end(PyObject *object, int opener)
{
    Tally *self = (Tally *)object;
    if (!PyObject_TypeCheck(object, &TallyType)) {
        PyObject *arguments[] = {object, opener ? Py_True : Py_False};
        return PyObject_VectorcallMethod(names.end, arguments, 1, names.opener);
    }
    /* The slots of the dataclass are set one by one: its constructor is in Python and would take most of the time. */
    PyTypeObject *type = (PyTypeObject *)rules.stream_end;
    PyObject *sent = PyLong_FromLongLong(self->sent), *received = PyLong_FromLongLong(self->received);
    PyObject *end = sent == NULL || received == NULL ? NULL : type->tp_alloc(type, 0);
    if (end != NULL &&
        (PyObject_SetAttr(end, names.outcome, IS_NONE(self->outcome) ? rules.completed : self->outcome) < 0 ||
         PyObject_SetAttr(end, names.code, self->code == NULL ? Py_None : self->code) < 0 ||
         PyObject_SetAttr(end, names.up, opener ? sent : received) < 0 ||
         PyObject_SetAttr(end, names.down, opener ? received : sent) < 0))
        Py_CLEAR(end);
    Py_XDECREF(sent);
    Py_XDECREF(received);
    return end;
}

static PyObject *end_py(PyObject *self, PyObject *arguments, PyObject *keywords)
{
    static char *known[] = {"opener", NULL};
    int opener;
    return PyArg_ParseTupleAndKeywords(arguments, keywords, "$p", known, &opener) ? tally_end(self, opener) : NULL;
}

static int traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(((Tally *)self)->outcome);
    Py_VISIT(((Tally *)self)->code);
    return 0;
}

static int clear(PyObject *self)
{
    Py_CLEAR(((Tally *)self)->outcome);
    Py_CLEAR(((Tally *)self)->code);
    return 0;
}

static void dealloc(PyObject *self)
{
    PyObject_GC_UnTrack(self);
    clear(self);
    Py_TYPE(self)->tp_free(self);
}

static PyMethodDef methods[] = {
    {"end", (PyCFunction)(void (*)(void))end_py, METH_VARARGS | METH_KEYWORDS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef members[] = {
    {"_outcome", T_OBJECT, offsetof(Tally, outcome), 0, NULL},
    {"_code", T_OBJECT, offsetof(Tally, code), 0, NULL},
    {"sent", T_LONGLONG, offsetof(Tally, sent), 0, NULL},
    {"received", T_LONGLONG, offsetof(Tally, received), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyTypeObject TallyType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "gotunnel.net.fast._native.Tally",
    .tp_doc = "What is common in core.stream.StreamTally.",
    .tp_basicsize = sizeof(Tally),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_new = PyType_GenericNew,
    .tp_dealloc = dealloc,
    .tp_traverse = traverse,
    .tp_clear = clear,
    .tp_methods = methods,
    .tp_members = members,
};
