/* The attributes of a leg, as Python reads and writes them. */

#include "native.h"

#define SELF ((Leg *)self)

/* Return the index of `member` in a tuple of all members, -1 with an exception. */
int leg_index_of(PyObject *members, PyObject *member)
{
    if (missing(member))
        return -1;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(members); i++)
        if (PyTuple_GET_ITEM(members, i) == member)
            return (int)i;
    PyErr_Format(PyExc_ValueError, "unknown: %R", member);
    return -1;
}

/* Attributes that are not plain members. */

static PyObject *bytes_or_empty(PyObject *value)
{
    if (value == NULL)
        return PyBytes_FromStringAndSize(NULL, 0);
    Py_INCREF(value);
    return value;
}

static int set_bytes(PyObject **field, PyObject *value)
{
    if (value == NULL || !PyBytes_Check(value)) {
        PyErr_SetString(PyExc_TypeError, "bytes");
        return -1;
    }
    hold(field, value);
    return 0;
}

#define BYTES(name)                                                                                                    \
    static PyObject *get_##name(PyObject *self, void *Py_UNUSED(closure)) { return bytes_or_empty(SELF->name); }       \
    static int set_##name(PyObject *self, PyObject *value, void *Py_UNUSED(closure))                                   \
    {                                                                                                                  \
        return set_bytes(&SELF->name, value);                                                                          \
    }
BYTES(inbuf)
BYTES(body)
BYTES(begins)
BYTES(records)

static PyObject *get_state(PyObject *self, void *Py_UNUSED(closure))
{
    PyObject *state = PyTuple_GET_ITEM(rules.states, SELF->state);
    Py_INCREF(state);
    return state;
}

static int set_state(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    int index = leg_index_of(rules.states, value);
    if (index >= 0)
        SELF->state = index;
    return index < 0 ? -1 : 0;
}

static PyObject *get_end(PyObject *self, void *Py_UNUSED(closure))
{
    PyObject *end = PyTuple_GET_ITEM(rules.ends, SELF->end);
    Py_INCREF(end);
    return end;
}

static int set_end(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    int index = leg_index_of(rules.ends, value);
    if (index >= 0)
        SELF->end = index;
    return index < 0 ? -1 : 0;
}

static PyObject *get_rst_code(PyObject *self, void *Py_UNUSED(closure))
{
    if (SELF->rst_code == NULL)
        return PyUnicode_FromString("reset");
    Py_INCREF(SELF->rst_code);
    return SELF->rst_code;
}

static int set_rst_code(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    hold(&SELF->rst_code, value);
    return 0;
}

static PyObject *get_out(PyObject *self, void *Py_UNUSED(closure))
{
    if (SELF->out == NULL && append(&SELF->out, "", 0) < 0)
        return NULL;
    Py_INCREF(SELF->out);
    return SELF->out;
}

static int set_out(PyObject *self, PyObject *value, void *Py_UNUSED(closure))
{
    if (value == NULL || !PyByteArray_Check(value)) {
        PyErr_SetString(PyExc_TypeError, "a bytearray");
        return -1;
    }
    hold(&SELF->out, value);
    return 0;
}

PyGetSetDef leg_getset[] = {
    {"_inbuf", get_inbuf, set_inbuf, NULL, NULL},       {"_body", get_body, set_body, NULL, NULL},
    {"_begins", get_begins, set_begins, NULL, NULL},    {"_records", get_records, set_records, NULL, NULL},
    {"state", get_state, set_state, NULL, NULL},        {"end", get_end, set_end, NULL, NULL},
    {"_rst_code", get_rst_code, set_rst_code, NULL, NULL}, {"_out", get_out, set_out, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

#define OBJECT(python, field) {python, T_OBJECT, offsetof(Leg, field), 0, NULL}
#define FLAG(python, field) {python, T_BOOL, offsetof(Leg, field), 0, NULL}

PyMemberDef leg_members[] = {
    OBJECT("_local", local), OBJECT("_tally", tally), OBJECT("_meter", meter), OBJECT("_up", up),
    OBJECT("_owner", owner), OBJECT("_deadlines", deadlines), OBJECT("_tools", tools), OBJECT("_clock", clock),
    FLAG("_parsing", parsing), FLAG("_corked", corked), FLAG("_dialling", dialling), FLAG("_full", full),
    FLAG("_watched", watched), FLAG("_blocked", blocked), FLAG("_unhurried", unhurried), FLAG("_held", held),
    FLAG("_limited", limited),
    {"_answer_timeout", T_OBJECT, offsetof(Leg, answer_timeout), 0, NULL},
    {"_left", T_LONGLONG, offsetof(Leg, left), 0, NULL},
    {"last_received", T_DOUBLE, offsetof(Leg, last_received), 0, NULL},
    {"_fd", T_INT, offsetof(Leg, fd), 0, NULL},
    {"_mask", T_INT, offsetof(Leg, mask), 0, NULL},
    {"opens", T_INT, offsetof(Leg, opens), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};
