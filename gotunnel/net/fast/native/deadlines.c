/* See net/deadlines: starts and stops a deadline, which happens once per visitor. */

#include "native.h"

int deadlines_start(PyObject *object, PyObject *key, PyObject *seconds, PyObject *act)
{
    Deadlines *self = (Deadlines *)object;
    PyObject *running = NULL;
    if (missing(object) || missing(seconds))
        return -1;
    if (PyObject_TypeCheck(object, &DeadlinesType))
        running = PyDict_GetItemWithError(self->by_length, seconds);
    if (running == NULL) { /* another implementation, or the first deadline of this length */
        PyObject *arguments[] = {object, key, seconds, act};
        PyObject *done = PyErr_Occurred() ? NULL : PyObject_VectorcallMethod(names.start, arguments, 4, NULL);
        Py_XDECREF(done);
        return done == NULL ? -1 : 0;
    }
    double length = PyFloat_AsDouble(seconds), due;
    if (length == -1 && PyErr_Occurred())
        return -1;
    Py_INCREF(running); /* the clock may run Python code */
    int kept = seconds_of(self->clock, &due);
    due += length;
    PyObject *entry = kept < 0 ? NULL : Py_BuildValue("(dO)", due, act);
    kept = entry == NULL ? -1 : PyDict_SetItem(running, key, entry);
    Py_DECREF(running);
    Py_XDECREF(entry);
    if (kept < 0)
        return -1;
    if (!IS_NONE(self->timer) && due >= self->strikes)
        return 0;
    PyObject *when = PyFloat_FromDouble(due);
    int done = when == NULL ? -1 : call1(object, names.wake, when);
    Py_XDECREF(when);
    return done;
}

int deadlines_stop(PyObject *object, PyObject *key)
{
    if (object == NULL || !PyObject_TypeCheck(object, &DeadlinesType))
        return call1(object, names.stop, key);
    PyObject *seconds, *running;
    Py_ssize_t position = 0;
    while (PyDict_Next(((Deadlines *)object)->by_length, &position, &seconds, &running)) {
        PyObject *limit = PyDict_GetItemWithError(running, key);
        if (limit != NULL) {
            Py_INCREF(running);
            int done = PyDict_DelItem(running, key);
            Py_DECREF(running);
            return done;
        }
        if (PyErr_Occurred())
            return -1;
    }
    return 0;
}

static PyObject *stop_py(PyObject *self, PyObject *key)
{
    if (deadlines_stop(self, key) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static int set_by_length(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    if (value == NULL || !PyDict_Check(value)) {
        PyErr_SetString(PyExc_TypeError, "a dict");
        return -1;
    }
    hold(&((Deadlines *)self)->by_length, value);
    return 0;
}

static PyObject *get_by_length(PyObject *self, void *Py_UNUSED(closure))
{
    PyObject *value = ((Deadlines *)self)->by_length;
    Py_INCREF(value);
    return value;
}

static PyObject *deadlines_new(PyTypeObject *type, PyObject *Py_UNUSED(arguments), PyObject *Py_UNUSED(keywords))
{
    Deadlines *self = (Deadlines *)type->tp_alloc(type, 0);
    if (self != NULL && (self->by_length = PyDict_New()) == NULL)
        Py_CLEAR(self);
    return (PyObject *)self;
}

static int deadlines_traverse(PyObject *object, visitproc visit, void *arg)
{
    Py_VISIT(((Deadlines *)object)->by_length);
    Py_VISIT(((Deadlines *)object)->timer);
    Py_VISIT(((Deadlines *)object)->clock);
    return 0;
}

static int deadlines_clear(PyObject *object)
{
    Py_CLEAR(((Deadlines *)object)->timer);
    PyDict_Clear(((Deadlines *)object)->by_length);
    Py_CLEAR(((Deadlines *)object)->clock);
    return 0;
}

static void deadlines_dealloc(PyObject *object)
{
    PyObject_GC_UnTrack(object);
    Py_CLEAR(((Deadlines *)object)->timer);
    Py_CLEAR(((Deadlines *)object)->clock);
    Py_CLEAR(((Deadlines *)object)->by_length);
    Py_TYPE(object)->tp_free(object);
}

static PyMethodDef methods[] = {
    {"stop", stop_py, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef members[] = {
    {"_timer", T_OBJECT, offsetof(Deadlines, timer), 0, NULL},
    {"_clock", T_OBJECT, offsetof(Deadlines, clock), 0, NULL},
    {"_strikes", T_DOUBLE, offsetof(Deadlines, strikes), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef getset[] = {
    {"_by_length", get_by_length, set_by_length, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyTypeObject DeadlinesType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "gotunnel.net.fast._native.Deadlines",
    .tp_doc = "What is common in net.deadlines.Deadlines, on the clock of a reactor.",
    .tp_basicsize = sizeof(Deadlines),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_new = deadlines_new,
    .tp_dealloc = deadlines_dealloc,
    .tp_traverse = deadlines_traverse,
    .tp_clear = deadlines_clear,
    .tp_methods = methods,
    .tp_members = members,
    .tp_getset = getset,
};
