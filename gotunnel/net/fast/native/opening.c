/* How a leg and a local connection are joined: see open and accept of SendingLeg and LegBase, and the methods of
 * FastLeg that they call. */

#include "native.h"

#include <sys/epoll.h>

static int fallen_back(PyObject *done)
{
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

static int start_timer(Leg *self)
{
    if (self->limited && leg_cancel_timer(self) < 0)
        return -1;
    PyObject *late = PyObject_GetAttr((PyObject *)self, names.late);
    if (late == NULL)
        return -1;
    self->limited = 1;
    int done = deadlines_start(self->deadlines, (PyObject *)self, self->answer_timeout, late);
    Py_DECREF(late);
    return done;
}

static int attach(Leg *self, PyObject *object)
{
    if (!IS_LOCAL(object) || ((Local *)object)->gone)
        return fallen_back(PyObject_CallFunctionObjArgs(rules.attach, (PyObject *)self, object, NULL));
    Local *local = (Local *)object;
    self->full = 0;
    hold(&local->leg, (PyObject *)self);
    if (self->held)
        return call(object, names.watch_for_loss);
    if (self->blocked)
        return 0;
    if (local_read_more(local, 1) < 0)
        return -1;
    return self->end == 0 ? leg_local_readable(self) : 0;
}

int leg_open(Leg *self, PyObject *local, PyObject *body, int held)
{
    hold(&self->body, body);
    self->corked = 1;
    int done = leg_happen(self, rules.start);
    if (done == 0) {
        self->held = (char)held;
        done = leg_new_tally(self);
    }
    if (done == 0) {
        hold(&self->local, local);
        self->opens++;
        done = start_timer(self);
    }
    if (done == 0)
        done = attach(self, local);
    return leg_uncork_behind(self, done);
}

static int go_on(Leg *self)
{
    self->dialling = 0;
    if (leg_set_reading(self) < 0)
        return -1;
    int pending = !IS_NONE(self->inbuf) && PyBytes_GET_SIZE(self->inbuf) && !self->parsing;
    return pending ? call((PyObject *)self, names.handle_pending) : 0;
}

int leg_accept(Leg *self, PyObject *local, int awaited)
{
    char corked = self->corked;
    self->corked = 1;
    int done = leg_happen(self, rules.dialled);
    if (done == 0) {
        hold(&self->local, local);
        done = attach(self, local);
    }
    if (done == 0)
        done = go_on(self);
    self->corked = corked;
    if (done < 0)
        return -1;
    int begins = IS_LOCAL(local) ? ((Local *)local)->begins : truth(local, names.begins);
    if (begins < 0 || (begins && !self->parsing && call((PyObject *)self, names.begin_local) < 0))
        return -1;
    if (!waiting(self->out) || self->unhurried || self->state == rules.closed)
        return 0;
    if (self->state == rules.streaming && !self->blocked && !awaited) {
        self->unhurried = 1;
        if (PyObject_TypeCheck(self->poller, &PumpType) && ((Pump *)self->poller)->keeps_time)
            return pump_flush_soon((Pump *)self->poller, self);
        return call1(self->tools, names.flush_soon, (PyObject *)self);
    }
    return corked || leg_flush(self) >= 0 ? 0 : -1;
}
