/* The Python type of a leg. */

#include "native.h"

#define SELF ((Leg *)self)

PyObject *leg_handle_py(PyObject *self, PyObject *events)
{
    long mask = PyLong_AsLong(events);
    return mask == -1 && PyErr_Occurred() ? NULL : answer(leg_handle(SELF, (int)mask));
}

static PyObject *leg_happen_py(PyObject *self, PyObject *event)
{
    int index = leg_index_of(rules.events, event);
    return index < 0 ? NULL : answer(leg_happen(SELF, index));
}

static PyObject *leg_local_readable_py(PyObject *self, PyObject *Py_UNUSED(nothing))
{
    return answer(leg_local_readable(SELF));
}

static PyObject *leg_local_closed_py(PyObject *self, PyObject *Py_UNUSED(nothing))
{
    return answer(leg_local_closed(SELF));
}

static PyObject *leg_local_drained_py(PyObject *self, PyObject *Py_UNUSED(nothing))
{
    return answer(leg_local_drained(SELF));
}

static PyObject *leg_local_is_full_py(PyObject *self, PyObject *Py_UNUSED(nothing))
{
    return answer(leg_local_is_full(SELF));
}

static PyObject *leg_set_reading_py(PyObject *self, PyObject *Py_UNUSED(nothing))
{
    return answer(leg_set_reading(SELF));
}

static PyObject *leg_flush_py(PyObject *self, PyObject *Py_UNUSED(nothing))
{
    int all = leg_flush(SELF);
    return all < 0 ? NULL : PyBool_FromLong(all);
}

static PyObject *leg_uncork_py(PyObject *self, PyObject *Py_UNUSED(nothing))
{
    return answer(leg_uncork(SELF));
}

static PyObject *leg_be_watched_py(PyObject *self, PyObject *Py_UNUSED(nothing))
{
    return answer(leg_be_watched(SELF));
}

static PyObject *leg_watch_py(PyObject *self, PyObject *mask)
{
    long wanted = PyLong_AsLong(mask);
    return wanted == -1 && PyErr_Occurred() ? NULL : answer(leg_watch(SELF, (int)wanted));
}

static PyObject *leg_set_blocked_py(PyObject *self, PyObject *blocked)
{
    int wanted = PyObject_IsTrue(blocked);
    return wanted < 0 ? NULL : answer(leg_set_blocked(SELF, wanted));
}

static PyObject *leg_write_py(PyObject *self, PyObject *data)
{
    Py_buffer buffer;
    if (PyObject_GetBuffer(data, &buffer, PyBUF_SIMPLE) < 0)
        return NULL;
    PyObject *done = answer(leg_write(SELF, buffer.buf, buffer.len));
    PyBuffer_Release(&buffer);
    return done;
}

static PyObject *leg_parse_py(PyObject *self, PyObject *data)
{
    Py_buffer buffer;
    if (PyObject_GetBuffer(data, &buffer, PyBUF_SIMPLE) < 0)
        return NULL;
    PyObject *done = answer(leg_parse(SELF, data, buffer.buf, buffer.len));
    PyBuffer_Release(&buffer);
    return done;
}

static PyObject *leg_take_py(PyObject *self, PyObject *arguments)
{
    PyObject *view;
    Py_ssize_t count;
    Py_buffer buffer;
    if (!PyArg_ParseTuple(arguments, "On", &view, &count) || PyObject_GetBuffer(view, &buffer, PyBUF_SIMPLE) < 0)
        return NULL;
    PyObject *done = NULL;
    if (count < 0 || count > buffer.len)
        PyErr_SetString(PyExc_ValueError, "more than is there");
    else
        done = answer(leg_take(SELF, view, buffer.buf, count));
    PyBuffer_Release(&buffer);
    return done;
}

static PyObject *leg_open_py(PyObject *self, PyObject *arguments, PyObject *keywords)
{
    static char *known[] = {"local", "body", "held", "begins", NULL};
    PyObject *local, *body, *begins = NULL;
    int held = 0;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "OS|pO", known, &local, &body, &held, &begins))
        return NULL;
    if (begins == NULL || (PyBytes_Check(begins) && PyBytes_GET_SIZE(begins) == 0))
        return answer(leg_open(SELF, local, body, held));
    return PyObject_CallFunctionObjArgs(rules.open, self, local, body, held ? Py_True : Py_False, begins, NULL);
}

static PyObject *leg_accept_py(PyObject *self, PyObject *arguments, PyObject *keywords)
{
    static char *known[] = {"local", "awaited", NULL};
    PyObject *local;
    int awaited = 0;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "O|p", known, &local, &awaited))
        return NULL;
    return answer(leg_accept(SELF, local, awaited));
}

/* Get the address and length of a memoryview that lives as long as the relay. */
static int place_of(PyObject *view, char **place, Py_ssize_t *size)
{
    Py_buffer buffer;
    if (PyObject_GetBuffer(view, &buffer, PyBUF_WRITABLE) < 0)
        return -1;
    *place = buffer.buf;
    *size = buffer.len;
    PyBuffer_Release(&buffer);
    return 0;
}

/* equip(tools, bulk_read, landing, bulk): set what a leg gets from its relay; see nativeleg. */
static PyObject *leg_equip(PyObject *object, PyObject *arguments)
{
    Leg *self = (Leg *)object;
    PyObject *tools, *buffers;
    Py_ssize_t size;
    if (!PyArg_ParseTuple(arguments, "Onnn", &tools, &self->bulk_read, &self->landing, &self->bulk))
        return NULL;
    Py_XSETREF(self->poller, PyObject_GetAttrString(tools, "poller"));
    buffers = self->poller == NULL ? NULL : PyObject_GetAttrString(tools, "buffers");
    if (buffers == NULL)
        return NULL;
    Py_XSETREF(self->from_leg, PyObject_GetAttrString(buffers, "from_leg"));
    Py_XSETREF(self->from_local, PyObject_GetAttrString(buffers, "from_local"));
    Py_XSETREF(self->cipher, PyObject_GetAttrString(buffers, "cipher"));
    Py_DECREF(buffers);
    if (self->from_leg == NULL || self->from_local == NULL || self->cipher == NULL ||
        place_of(self->from_leg, &self->in, &self->in_size) < 0 ||
        place_of(self->from_local, &self->to_send, &size) < 0 ||
        place_of(self->cipher, &self->sealed, &self->sealed_size) < 0)
        return NULL;
    if (self->landing > size - 4) {
        PyErr_SetString(PyExc_ValueError, "the landing is larger than the buffer");
        return NULL;
    }
    Py_RETURN_NONE;
}

/* seal_with(session, incoming, outgoing): use TLS from now on. */
static PyObject *leg_seal_with(PyObject *object, PyObject *arguments)
{
    Leg *self = (Leg *)object;
    PyObject *session, *incoming, *outgoing;
    if (!PyArg_ParseTuple(arguments, "OOO", &session, &incoming, &outgoing))
        return NULL;
    hold(&self->session, session);
    hold(&self->incoming, incoming);
    hold(&self->outgoing, outgoing);
    Py_XSETREF(self->records, PyBytes_FromStringAndSize(NULL, 0));
    return answer(self->records == NULL ? -1 : 0);
}

static PyMethodDef leg_methods[] = {
    {"equip", leg_equip, METH_VARARGS, "Take what a leg has from its relay; see nativeleg."},
    {"seal_with", leg_seal_with, METH_VARARGS, "Let all go through a TLS session and its BIOs; see nativeleg."},
    {"open", (PyCFunction)(void (*)(void))leg_open_py, METH_VARARGS | METH_KEYWORDS, NULL},
    {"accept", (PyCFunction)(void (*)(void))leg_accept_py, METH_VARARGS | METH_KEYWORDS, NULL},
    {"handle", leg_handle_py, METH_O, NULL},
    {"happen", leg_happen_py, METH_O, NULL},
    {"local_readable", leg_local_readable_py, METH_NOARGS, NULL},
    {"local_closed", leg_local_closed_py, METH_NOARGS, NULL},
    {"local_drained", leg_local_drained_py, METH_NOARGS, NULL},
    {"_local_is_full", leg_local_is_full_py, METH_NOARGS, NULL},
    {"_set_reading", leg_set_reading_py, METH_NOARGS, NULL},
    {"_set_blocked", leg_set_blocked_py, METH_O, NULL},
    {"_watch", leg_watch_py, METH_O, NULL},
    {"_be_watched", leg_be_watched_py, METH_NOARGS, NULL},
    {"_write", leg_write_py, METH_O, NULL},
    {"_flush", leg_flush_py, METH_NOARGS, NULL},
    {"_uncork", leg_uncork_py, METH_NOARGS, NULL},
    {"_take", leg_take_py, METH_VARARGS, NULL},
    {"_parse", leg_parse_py, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

/* Its object fields are contiguous, from `local` to `records`. */
#define OBJECTS ((offsetof(Leg, records) - offsetof(Leg, local)) / sizeof(PyObject *) + 1)

static int leg_traverse(PyObject *self, visitproc visit, void *arg)
{
    for (size_t i = 0; i < OBJECTS; i++)
        Py_VISIT((&SELF->local)[i]);
    return 0;
}

static int leg_clear(PyObject *self)
{
    /* Only fields that may be None anyway. Cycles through the others are broken at the owner or the deadlines. */
    PyObject **part[] = {&SELF->local, &SELF->tally, &SELF->meter, &SELF->up};
    for (size_t i = 0; i < sizeof part / sizeof *part; i++)
        Py_CLEAR(*part[i]);
    return 0;
}

static void leg_dealloc(PyObject *self)
{
    PyObject_GC_UnTrack(self);
    for (size_t i = 0; i < OBJECTS; i++)
        Py_CLEAR((&SELF->local)[i]);
    Py_CLEAR(SELF->answer_timeout);
    Py_TYPE(self)->tp_free(self);
}

static PyObject *leg_new(PyTypeObject *type, PyObject *Py_UNUSED(arguments), PyObject *Py_UNUSED(keywords))
{
    if (!rules.equipped) {
        PyErr_SetString(PyExc_RuntimeError, "the rules are not known yet");
        return NULL;
    }
    Leg *self = (Leg *)type->tp_alloc(type, 0);
    if (self != NULL)
        self->fd = -1;
    return (PyObject *)self;
}

PyTypeObject LegType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "gotunnel.net.fast._native.Leg",
    .tp_doc = "What is common in fast.plainleg.PlainFastLeg and fast.tlsleg.TlsFastLeg; one of them comes behind it.",
    .tp_basicsize = sizeof(Leg),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_new = leg_new,
    .tp_dealloc = leg_dealloc,
    .tp_traverse = leg_traverse,
    .tp_clear = leg_clear,
    .tp_methods = leg_methods,
    .tp_members = leg_members,
    .tp_getset = leg_getset,
};
