/* See fast/tlsleg.TlsFastLeg: a leg inside TLS, on the `ssl` module's session and memory BIOs, which are called from here. */

#include "native.h"

#include <sys/socket.h>

#define RECORD_BYTES 16384
#define SEALED_BYTES (5 + RECORD_BYTES + 1 + 16)
#define PLAIN_AT_ONCE (2 * RECORD_BYTES) /* see tlsleg */
#define SEALED_AT_ONCE (2 * SEALED_BYTES)

/* Send what the outgoing BIO holds, and keep what the kernel does not take. Returns 1 when it took all. */
static int send_records(Leg *self)
{
    PyObject *records = PyObject_CallMethodNoArgs(self->outgoing, names.read);
    if (records == NULL)
        return -1;
    Py_ssize_t size = PyBytes_GET_SIZE(records);
    ssize_t sent = send(self->fd, PyBytes_AS_STRING(records), (size_t)size, MSG_NOSIGNAL);
    if (sent < 0)
        sent = not_now() ? 0 : size; /* the leg's own event says more */
    if (sent == size) {
        Py_DECREF(records);
        if (PyBytes_GET_SIZE(self->records))
            Py_XSETREF(self->records, PyBytes_FromStringAndSize(NULL, 0));
        return 1;
    }
    PyObject *rest = PyBytes_FromStringAndSize(PyBytes_AS_STRING(records) + sent, size - sent);
    Py_DECREF(records);
    if (rest == NULL)
        return -1;
    Py_XSETREF(self->records, rest);
    return 0;
}

/* Encrypt and send `size` bytes, all that `data` has. Returns 1 when all of it left. */
static int seal(Leg *self, PyObject *data, Py_ssize_t size)
{
    PyObject *done;
    if (size > PLAIN_AT_ONCE) {
        done = PyObject_CallMethodOneArg((PyObject *)self, names.seal, data);
        int all = done == NULL ? -1 : PyObject_IsTrue(done);
        Py_XDECREF(done);
        return all;
    }
    done = PyObject_CallMethodOneArg(self->session, names.write, data);
    if (done == NULL)
        return -1;
    Py_DECREF(done);
    return send_records(self);
}

int tls_send(Leg *self, const char *data, Py_ssize_t size)
{
    PyObject *view = PyMemoryView_FromMemory((char *)data, size, PyBUF_READ);
    int all = view == NULL ? -1 : seal(self, view, size);
    Py_XDECREF(view);
    return all ? (all < 0 ? -1 : 0) : leg_set_blocked(self, 1);
}

int tls_flush(Leg *self)
{
    Py_ssize_t records = PyBytes_GET_SIZE(self->records), size = waiting(self->out);
    if (records) {
        ssize_t sent = send(self->fd, PyBytes_AS_STRING(self->records), (size_t)records, MSG_NOSIGNAL);
        if (sent < 0)
            sent = not_now() ? 0 : records;
        PyObject *rest = PyBytes_FromStringAndSize(PyBytes_AS_STRING(self->records) + sent, records - sent);
        if (rest == NULL)
            return -1;
        Py_XSETREF(self->records, rest);
        if (sent < records)
            return leg_set_blocked(self, 1) < 0 ? -1 : 0;
    }
    if (size) {
        PyObject *out = self->out;
        Py_INCREF(out);
        int done = seal(self, out, size);
        if (done >= 0)
            done = drop_front(out, PyByteArray_GET_SIZE(out));
        Py_DECREF(out);
        if (done < 0)
            return -1;
    }
    int left = PyBytes_GET_SIZE(self->records) > 0;
    if ((left || self->blocked) && leg_set_blocked(self, left) < 0)
        return -1;
    return !left;
}

/* Read one decrypted record to `got` bytes behind the beginning of the buffer. Returns its length, 0 at the end of the
 * stream, -2 when there is none, -1. */
static Py_ssize_t read_record(Leg *self, Py_ssize_t got)
{
    static PyObject *most = NULL;
    if (most == NULL && (most = PyLong_FromLong(RECORD_BYTES)) == NULL)
        return -1;
    PyObject *room = self->from_leg;
    if (got) {
        room = PySequence_GetSlice(room, got, self->in_size);
        if (room == NULL)
            return -1;
    } else {
        Py_INCREF(room);
    }
    PyObject *arguments[] = {self->session, most, room};
    PyObject *count = PyObject_VectorcallMethod(names.read, arguments, 3, NULL);
    Py_DECREF(room);
    if (count != NULL) {
        Py_ssize_t size = PyLong_AsSsize_t(count);
        Py_DECREF(count);
        return size;
    }
    int none = PyErr_ExceptionMatches(rules.ssl_want_read), over = PyErr_ExceptionMatches(rules.ssl_zero);
    if (!none && !over)
        return -1;
    PyErr_Clear();
    return none ? -2 : 0;
}

static Py_ssize_t pending(PyObject *bio)
{
    PyObject *count = PyObject_GetAttr(bio, names.pending);
    Py_ssize_t size = count == NULL ? -1 : PyLong_AsSsize_t(count);
    Py_XDECREF(count);
    return size;
}

/* OpenSSL has no use for what came: RemoteProtocolError would say too little, `give_up` has the words. */
static int broken(Leg *self)
{
    if (!PyErr_ExceptionMatches(rules.ssl_error))
        return -1;
    PyObject *problem = take_problem();
    int done = call1((PyObject *)self, names.tls_broke, problem);
    Py_DECREF(problem);
    return done;
}

/* What came is no more than goes through the BIO at a time. */
static int decrypt(Leg *self, Py_ssize_t count)
{
    PyObject *records = PyMemoryView_FromMemory(self->sealed, count, PyBUF_READ);
    if (records == NULL || call1(self->incoming, names.write, records) < 0) {
        Py_XDECREF(records);
        return -1;
    }
    Py_DECREF(records);
    Py_ssize_t got = 0, more = 1;
    int over = 0;
    while (more > 0) { /* a read takes a whole record: to ask for one more costs an exception */
        Py_ssize_t read = read_record(self, got);
        if (read == -2)
            break;
        if (read < 0)
            return broken(self);
        if (read == 0) {
            over = 1;
            break;
        }
        got += read;
        more = pending(self->incoming);
    }
    Py_ssize_t said = more < 0 ? -1 : pending(self->outgoing);
    if (said < 0 || (said > 0 && call((PyObject *)self, names.answer) < 0))
        return -1;
    if (got && leg_take(self, self->from_leg, self->in, got) < 0)
        return -1;
    return over ? call((PyObject *)self, names.lost_on_read) : 0;
}

int tls_readable(Leg *self)
{
    Py_ssize_t count = leg_read(self, self->sealed, self->sealed_size);
    if (count <= 0)
        return (int)count;
    if (count <= SEALED_AT_ONCE)
        return decrypt(self, count);
    PyObject *records = PySequence_GetSlice(self->cipher, 0, count);
    int done = records == NULL ? -1 : call1((PyObject *)self, names.decrypt, records);
    Py_XDECREF(records);
    return done;
}
