/* See net/legacts: carries out the acts that an event of a leg causes by the state table. */

#include "native.h"

static int acts_open(Leg *self)
{
    Py_ssize_t size = IS_NONE(self->body) ? 0 : PyBytes_GET_SIZE(self->body);
    unsigned char frame[HEADER_BYTES + MAX_BODY_BYTES];
    if (size < 1 || size > MAX_BODY_BYTES) /* a bug: the Python method reports it */
        return call((PyObject *)self, names.send_open);
    frame[0] = 3, frame[1] = 0, frame[2] = (unsigned char)(size >> 8), frame[3] = (unsigned char)size;
    memcpy(frame + HEADER_BYTES, PyBytes_AS_STRING(self->body), (size_t)size);
    return leg_write(self, (char *)frame, HEADER_BYTES + size);
}

int leg_cancel_timer(Leg *self)
{
    if (!self->limited)
        return 0;
    self->limited = 0;
    return deadlines_stop(self->deadlines, (PyObject *)self);
}

int leg_new_tally(Leg *self)
{
    PyObject *tally = PyObject_CallNoArgs(rules.tally);
    if (tally == NULL)
        return -1;
    Py_XSETREF(self->tally, tally);
    return 0;
}

/* Call `method` of the owner with the leg, and with `more` if it is not NULL. */
int leg_tell_owner(Leg *self, PyObject *method, PyObject *more)
{
    PyObject *owner = self->owner, *arguments[] = {owner, (PyObject *)self, more};
    if (missing(owner))
        return -1;
    Py_INCREF(owner);
    PyObject *done = PyObject_VectorcallMethod(method, arguments, more == NULL ? 2 : 3, NULL);
    Py_DECREF(owner);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

static int acts_dial(Leg *self)
{
    if (leg_cancel_timer(self) < 0 || leg_new_tally(self) < 0)
        return -1;
    self->opens++;
    self->dialling = 1;
    if (!self->watched && leg_be_watched(self) < 0)
        return -1;
    PyObject *body = self->body;
    if (missing(body))
        return -1;
    Py_INCREF(body);
    int done = leg_tell_owner(self, names.leg_open, body);
    Py_DECREF(body);
    return done;
}

static int acts_answered(Leg *self)
{
    if (self->held) {
        PyObject *done = PyObject_CallOneArg(rules.answered, (PyObject *)self);
        Py_XDECREF(done);
        return done == NULL ? -1 : 0;
    }
    return leg_cancel_timer(self) < 0 ? -1 : leg_tell_owner(self, names.leg_answered, NULL);
}

static int drained_if_full(Leg *self)
{
    return self->full ? leg_local_drained(self) : 0; /* no more data will come for the local connection */
}

/* Let the local connection take a step towards its end: `step`, or the leg's `method` if it is not a Local. */
static int end_local(Leg *self, int (*step)(Local *), PyObject *method)
{
    PyObject *local = self->local;
    if (IS_NONE(local))
        return 0;
    if (!IS_LOCAL(local))
        return call1((PyObject *)self, method, local);
    Py_INCREF(local);
    int done = step((Local *)local);
    Py_DECREF(local);
    return done < 0 ? -1 : drained_if_full(self);
}

static int ended(Leg *self)
{
    PyObject *tally = self->tally;
    self->tally = NULL;
    Py_CLEAR(self->meter);
    int done = 0;
    if (!IS_NONE(self->local))
        done = call((PyObject *)self, names.part);
    self->held = 0;
    Py_CLEAR(self->begins);
    Py_CLEAR(self->rst_code);
    if (!IS_NONE(tally) && done == 0) {
        PyObject *end = tally_end(tally, self->end == 0);
        done = end == NULL ? -1 : leg_tell_owner(self, names.leg_ended, end);
        Py_XDECREF(end);
    }
    Py_XDECREF(tally);
    return done;
}

static int acts_idle(Leg *self)
{
    if (self->limited && self->end == 0 && leg_cancel_timer(self) < 0)
        return -1;
    if (ended(self) < 0)
        return -1;
    return self->state == rules.idle ? leg_tell_owner(self, names.leg_idle, NULL) : 0;
}

static int act(Leg *self, const Act *what)
{
    switch (what->kind) {
    case ACT_WRITE: return leg_write(self, PyBytes_AS_STRING(what->what), PyBytes_GET_SIZE(what->what));
    case ACT_OPEN: return acts_open(self);
    case ACT_DIAL: return acts_dial(self);
    case ACT_ANSWERED: return acts_answered(self);
    case ACT_HALF_CLOSE: return end_local(self, local_half_close, names.half_close);
    case ACT_FINISH: return end_local(self, local_finish, names.finish);
    case ACT_IDLE: return acts_idle(self);
    case ACT_PYTHON: break;
    }
    PyObject *done = PyObject_CallOneArg(what->what, (PyObject *)self);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

int leg_happen(Leg *self, int event)
{
    int before = self->state;
    const Row *row = &rules.rows[self->end][before][event];
    if (!row->known) { /* a bug: the Python method reports it */
        PyObject *done = PyObject_CallFunctionObjArgs(
            rules.happen, (PyObject *)self, PyTuple_GET_ITEM(rules.events, event), NULL);
        Py_XDECREF(done);
        return done == NULL ? -1 : 0;
    }
    self->state = row->after;
    for (int i = 0; i < row->acts; i++)
        if (act(self, &row->act[i]) < 0)
            return -1;
    if (row->last == NULL)
        return 0;
    PyObject *done = PyObject_CallFunctionObjArgs(row->last, (PyObject *)self, PyTuple_GET_ITEM(rules.events, event),
                                                  PyTuple_GET_ITEM(rules.states, before), NULL);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}
