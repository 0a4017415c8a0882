/* The module: what it learns from Python, and common helpers. */

#include "native.h"

#include <errno.h>
#include <time.h>

Rules rules;
Names names;

int seconds_of(PyObject *clock, double *now)
{
    PyObject *seconds = missing(clock) ? NULL : PyObject_CallMethodNoArgs(clock, names.seconds);
    *now = seconds == NULL ? -1 : PyFloat_AsDouble(seconds);
    Py_XDECREF(seconds);
    return *now == -1 && PyErr_Occurred() ? -1 : 0;
}

double monotonic(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

PyObject *take_problem(void)
{
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    PyErr_NormalizeException(&type, &value, &trace);
    Py_XDECREF(type);
    Py_XDECREF(trace);
    return value;
}

int missing(PyObject *object)
{
    if (object != NULL)
        return 0;
    PyErr_SetString(PyExc_AttributeError, "an attribute that is needed here was not set, or deleted");
    return 1;
}

PyObject *answer(int done)
{
    if (done < 0)
        return NULL;
    Py_RETURN_NONE;
}

int not_now(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

int call(PyObject *object, PyObject *name)
{
    if (missing(object))
        return -1;
    PyObject *done = PyObject_CallMethodNoArgs(object, name);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

int call1(PyObject *object, PyObject *name, PyObject *argument)
{
    if (missing(object))
        return -1;
    PyObject *done = PyObject_CallMethodOneArg(object, name, argument);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

int int_of(PyObject *number, int *value)
{
    long wide = PyLong_AsLong(number);
    if (wide == -1 && PyErr_Occurred())
        return -1;
    if (wide < INT_MIN || wide > INT_MAX) {
        PyErr_SetString(PyExc_OverflowError, "larger than an int");
        return -1;
    }
    *value = (int)wide;
    return 0;
}

int truth(PyObject *object, PyObject *name)
{
    PyObject *value = PyObject_GetAttr(object, name);
    int is = value == NULL ? -1 : PyObject_IsTrue(value);
    Py_XDECREF(value);
    return is;
}

/* Store a new reference in a field. */
void hold(PyObject **field, PyObject *value)
{
    Py_XINCREF(value);
    Py_XSETREF(*field, value);
}

/* Add to an attribute that is an int. */
int add_to(PyObject *object, PyObject *name, Py_ssize_t count)
{
    Py_INCREF(object);
    PyObject *before = PyObject_GetAttr(object, name), *more = PyLong_FromSsize_t(count), *sum = NULL;
    if (before != NULL && more != NULL)
        sum = PyNumber_Add(before, more);
    Py_XDECREF(before);
    Py_XDECREF(more);
    int done = sum == NULL ? -1 : PyObject_SetAttr(object, name, sum);
    Py_XDECREF(sum);
    Py_DECREF(object);
    return done;
}

/* A bytearray that may not have been created yet. */

Py_ssize_t waiting(PyObject *bytearray)
{
    return bytearray == NULL ? 0 : PyByteArray_GET_SIZE(bytearray);
}

int append(PyObject **bytearray, const char *data, Py_ssize_t size)
{
    if (*bytearray == NULL) {
        *bytearray = PyByteArray_FromStringAndSize(data, size);
        return *bytearray == NULL ? -1 : 0;
    }
    Py_ssize_t before = PyByteArray_GET_SIZE(*bytearray);
    if (PyByteArray_Resize(*bytearray, before + size) < 0)
        return -1;
    memcpy(PyByteArray_AS_STRING(*bytearray) + before, data, (size_t)size);
    return 0;
}

int drop_front(PyObject *bytearray, Py_ssize_t count)
{
    Py_ssize_t size = PyByteArray_GET_SIZE(bytearray);
    char *data = PyByteArray_AS_STRING(bytearray);
    if (count < size)
        memmove(data, data + count, (size_t)(size - count));
    return PyByteArray_Resize(bytearray, size - count);
}

/* learn(rules): see nativerules, which builds the dictionary. */

static PyObject *known(PyObject *from, const char *name)
{
    PyObject *value = PyDict_GetItemString(from, name);
    if (value == NULL)
        PyErr_Format(PyExc_KeyError, "%s", name);
    Py_XINCREF(value);
    return value;
}

static int learn_row(PyObject *entry)
{
    int end, state, event, after;
    PyObject *acts, *last;
    if (!PyArg_ParseTuple(entry, "iiiiO!O", &end, &state, &event, &after, &PyTuple_Type, &acts, &last))
        return -1;
    if (end < 0 || end > 1 || state < 0 || state >= STATES || event < 0 || event >= EVENTS || after < 0 ||
        after >= STATES || PyTuple_GET_SIZE(acts) > ACTS) {
        PyErr_SetString(PyExc_ValueError, "a row beyond what the extension has room for");
        return -1;
    }
    Row *row = &rules.rows[end][state][event];
    row->known = 1;
    row->after = (char)after;
    row->acts = (char)PyTuple_GET_SIZE(acts);
    for (int i = 0; i < row->acts; i++) {
        int kind;
        PyObject *what;
        if (!PyArg_ParseTuple(PyTuple_GET_ITEM(acts, i), "iO", &kind, &what))
            return -1;
        Py_INCREF(what);
        row->act[i] = (Act){(ActKind)kind, what};
    }
    row->last = last == Py_None ? NULL : last;
    Py_XINCREF(row->last);
    return 0;
}

static PyObject *learn(PyObject *Py_UNUSED(module), PyObject *from)
{
    if (rules.equipped || !PyDict_Check(from)) {
        PyErr_SetString(PyExc_RuntimeError, "to be called once, with a dict");
        return NULL;
    }
    struct { const char *name; PyObject **place; } objects[] = {
        {"states", &rules.states}, {"events", &rules.events}, {"ends", &rules.ends}, {"frames", &rules.frames},
        {"breach", &rules.breach}, {"opened", &rules.opened}, {"tally", &rules.tally}, {"happen", &rules.happen},
        {"local_readable", &rules.local_readable}, {"answered", &rules.answered}, {"ignore", &rules.ignore},
        {"stream_end", &rules.stream_end}, {"completed", &rules.completed},
        {"open", &rules.open}, {"attach", &rules.attach}, {"socket_type", &rules.socket_type},
        {"ssl_want_read", &rules.ssl_want_read}, {"ssl_zero", &rules.ssl_zero}, {"ssl_error", &rules.ssl_error},
    };
    for (size_t i = 0; i < sizeof objects / sizeof *objects; i++)
        if ((*objects[i].place = known(from, objects[i].name)) == NULL)
            return NULL;
    PyObject *rows = PyDict_GetItemString(from, "rows"), *numbers = PyDict_GetItemString(from, "numbers");
    if (rows == NULL || numbers == NULL ||
        !PyArg_ParseTuple(numbers, "iiiiiiiiIIIIiiiiiii", &rules.closed, &rules.idle, &rules.streaming, &rules.local_eof,
                          &rules.local_closed, &rules.got_data, &rules.start, &rules.dialled, &rules.delivers[0], &rules.delivers[1], &rules.discards[0],
                          &rules.discards[1], &rules.event_of_frame[0], &rules.event_of_frame[1],
                          &rules.event_of_frame[2], &rules.event_of_frame[3], &rules.event_of_frame[4],
                          &rules.event_of_frame[5], &rules.event_of_frame[6]))
        return NULL;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(rows); i++)
        if (learn_row(PyList_GET_ITEM(rows, i)) < 0)
            return NULL;
    rules.equipped = 1;
    Py_RETURN_NONE;
}

static int learn_names(void)
{
    struct { const char *name; PyObject **place; } all[] = {
        {"held", &names.held}, {"sent", &names.sent}, {"received", &names.received}, {"begin", &names.begin},
        {"begins", &names.begins}, {"lost", &names.lost}, {"local_closed", &names.local_closed},
        {"local_readable", &names.local_readable}, {"reason", &names.reason}, {"breach", &names.breach},
        {"give_up", &names.give_up}, {"_lost_on_read", &names.lost_on_read}, {"_bulk_in", &names.bulk_in},
        {"_bulk_out", &names.bulk_out}, {"_splice_out", &names.splice_out}, {"_readable", &names.readable},
        {"_flush_pipe", &names.flush_pipe}, {"_unsent", &names.unsent}, {"receive", &names.receive},
        {"_half_close", &names.half_close}, {"_finish", &names.finish}, {"leg_idle", &names.leg_idle},
        {"leg_ended", &names.leg_ended}, {"leg_answered", &names.leg_answered},
        {"leg_first_byte", &names.leg_first_byte}, {"leg_open", &names.leg_open}, {"end", &names.end},
        {"_leave_local", &names.part}, {"stop", &names.stop}, {"add", &names.add}, {"remove", &names.remove},
        {"watch", &names.watch}, {"pipes", &names.pipes}, {"give_back", &names.give_back}, {"close", &names.close},
        {"_finish_later", &names.later}, {"_flush", &names.flush_local}, {"_forget", &names.forget},
        {"send", &names.send}, {"send_all", &names.send_all}, {"_begin_local", &names.begin_local},
        {"read_more", &names.read_more}, {"reading", &names.reading}, {"write", &names.write}, {"read", &names.read},
        {"pending", &names.pending}, {"_say_much", &names.say_much}, {"expect_much", &names.expect_much}, {"_seal", &names.seal}, {"_answer", &names.answer},
        {"_tls_broke", &names.tls_broke}, {"_send_open", &names.send_open}, {"watch_for_loss", &names.watch_for_loss},
        {"handle_pending", &names.handle_pending}, {"flush_soon", &names.flush_soon}, {"_late", &names.late},
        {"start", &names.start}, {"_wake", &names.wake}, {"short", &names.short_}, {"accepted", &names.accepted},
        {"ceiling", &names.ceiling}, {"_last", &names.last}, {"_sock", &names.sock},
        {"outcome", &names.outcome}, {"code", &names.code}, {"up", &names.up}, {"down", &names.down},
        {"seconds", &names.seconds}, {"copy", &names.copy}, {"update", &names.update}, {"digest", &names.digest},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if ((*all[i].place = PyUnicode_InternFromString(all[i].name)) == NULL)
            return -1;
    names.opener = Py_BuildValue("(s)", "opener");
    return names.opener == NULL ? -1 : 0;
}

#ifndef SOURCES
#error "setup.py says which sources these are"
#endif

static PyMethodDef methods[] = {
    {"learn", learn, METH_O, "Be told the table of states and what else is Python's; once, see nativerules."},
    {"welcome", (PyCFunction)(void (*)(void))welcome, METH_FASTCALL, "See nativerelay."},
    {"dial", dial, METH_VARARGS, "See nativerelay."},
    {"write_open", (PyCFunction)(void (*)(void))write_open, METH_FASTCALL, "See wire/openform."},
    {"read_open", read_open, METH_O, "See wire/openform."},
    {"prove_open", (PyCFunction)(void (*)(void))prove_open, METH_FASTCALL, "See wire/openform."},
    {NULL, NULL, 0, NULL},
};

static int run(PyObject *module)
{
    PyTypeObject *types[] = {&PumpType, &LocalType, &LegType, &DeadlinesType, &TallyType};
    /* Types, rules and names exist once per process, and one interpreter's lock protects them. */
    if (PyInterpreterState_Get() != PyInterpreterState_Main()) {
        PyErr_SetString(PyExc_ImportError, "the compiled relay is for the main interpreter only");
        return -1;
    }
    if (names.opener == NULL && learn_names() < 0)
        return -1;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (PyModule_AddType(module, types[i]) < 0)
            return -1;
    return PyModule_AddStringConstant(module, "sources", SOURCES); /* see compiled.lacking */
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, (void *)run},
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "gotunnel.net.fast._native",
    .m_doc = "The inner part of the fast relay, compiled; see nativerelay.",
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__native(void);

PyMODINIT_FUNC PyInit__native(void)
{
#ifdef Py_GIL_DISABLED
    PyErr_SetString(PyExc_ImportError, "the compiled relay needs the interpreter's lock");
    return NULL;
#else
    return PyModuleDef_Init(&definition);
#endif
}
