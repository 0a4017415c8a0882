/* See fast/tlsleg.TlsFastLeg: a leg inside TLS. It calls the session and memory BIOs of the `ssl` module. */

#include "native.h"

#include <sys/socket.h>

#define RECORD_BYTES 16384
#define SEALED_BYTES (5 + RECORD_BYTES + 1 + 16)
#define PLAIN_AT_ONCE (2 * RECORD_BYTES) /* see tlsleg */
#define SEALED_AT_ONCE (2 * SEALED_BYTES)
#define MOST_SEALED 10 /* pieces of that size sent at once: more than the whole buffer of local connections */

/* Keep what follows the first `sent` bytes, which the kernel took. Returns 1 if nothing does. */
static int keep_records(Leg *self, PyObject *const *records, int count, Py_ssize_t sent)
{
    Py_ssize_t size = -sent;
    for (int i = 0; i < count; i++)
        size += PyBytes_GET_SIZE(records[i]);
    if (size == 0 && PyBytes_GET_SIZE(self->records) == 0)
        return 1;
    PyObject *rest = PyBytes_FromStringAndSize(NULL, size);
    if (rest == NULL)
        return -1;
    char *to = PyBytes_AS_STRING(rest);
    for (int i = 0; i < count; i++) {
        Py_ssize_t length = PyBytes_GET_SIZE(records[i]), from = sent < length ? sent : length;
        memcpy(to, PyBytes_AS_STRING(records[i]) + from, (size_t)(length - from));
        to += length - from;
        sent -= from;
    }
    Py_XSETREF(self->records, rest);
    return size == 0;
}

/* Send records in one system call. Returns 1 if the kernel took all of them. */
static int send_records(Leg *self, PyObject *const *records, int count)
{
    Py_ssize_t size = 0;
    struct iovec pieces[MOST_SEALED];
    for (int i = 0; i < count; i++) {
        pieces[i] = (struct iovec){PyBytes_AS_STRING(records[i]), (size_t)PyBytes_GET_SIZE(records[i])};
        size += PyBytes_GET_SIZE(records[i]);
    }
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = (size_t)count};
    ssize_t sent = count == 1 ? send(self->fd, pieces[0].iov_base, pieces[0].iov_len, MSG_NOSIGNAL)
                              : sendmsg(self->fd, &message, MSG_NOSIGNAL);
    if (sent < 0)
        sent = not_now() ? 0 : size; /* the leg's own event will report the error */
    return keep_records(self, records, count, sent);
}

/* Encrypt bytes, at most PLAIN_AT_ONCE, and return the records. */
static PyObject *sealed(Leg *self, const char *data, Py_ssize_t size)
{
    PyObject *view = PyMemoryView_FromMemory((char *)data, size, PyBUF_READ);
    int done = view == NULL ? -1 : call1(self->session, names.write, view);
    Py_XDECREF(view);
    return done < 0 ? NULL : PyObject_CallMethodNoArgs(self->outgoing, names.read);
}

/* Encrypt and send. Returns 1 if all of it was sent. */
static int seal(Leg *self, const char *data, Py_ssize_t size)
{
    PyObject *records[MOST_SEALED];
    if (size > MOST_SEALED * PLAIN_AT_ONCE) { /* more than any one read brings */
        PyObject *view = PyMemoryView_FromMemory((char *)data, size, PyBUF_READ);
        PyObject *done = view == NULL ? NULL : PyObject_CallMethodOneArg((PyObject *)self, names.seal, view);
        int all = done == NULL ? -1 : PyObject_IsTrue(done);
        Py_XDECREF(view);
        Py_XDECREF(done);
        return all;
    }
    if (size > PLAIN_AT_ONCE && call((PyObject *)self, names.say_much) < 0)
        return -1;
    int count = 0, all = 0;
    for (Py_ssize_t start = 0; start < size && all == 0; start += PLAIN_AT_ONCE) {
        records[count] = sealed(self, data + start, size - start < PLAIN_AT_ONCE ? size - start : PLAIN_AT_ONCE);
        all = records[count] == NULL ? -1 : 0;
        count += all == 0;
    }
    if (all == 0)
        all = send_records(self, records, count);
    while (count)
        Py_DECREF(records[--count]);
    return all;
}

int tls_send(Leg *self, const char *data, Py_ssize_t size)
{
    int all = seal(self, data, size);
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
        int done = seal(self, PyByteArray_AS_STRING(out), size);
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

/* Decrypt one record into the buffer, `got` bytes from its beginning. Returns its length, 0 at the end of the stream,
 * -2 if there is none, -1. */
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

/* Handle an error of OpenSSL: `give_up` has better words for it than RemoteProtocolError. */
static int broken(Leg *self)
{
    if (!PyErr_ExceptionMatches(rules.ssl_error))
        return -1;
    PyObject *problem = take_problem();
    int done = call1((PyObject *)self, names.tls_broke, problem);
    Py_DECREF(problem);
    return done;
}

/* Put `count` bytes, from `start` on, into the BIO. */
static int let_in(Leg *self, Py_ssize_t start, Py_ssize_t count)
{
    PyObject *records = PyMemoryView_FromMemory(self->sealed + start, count, PyBUF_READ);
    int done = records == NULL ? -1 : call1(self->incoming, names.write, records);
    Py_XDECREF(records);
    return done;
}

/* Decrypt the whole records in the BIO, after the `got` bytes that are there. `over` is set if the stream ends. */
static Py_ssize_t read_records(Leg *self, Py_ssize_t got, int *over)
{
    Py_ssize_t more = 1;
    while (more > 0) { /* a read takes a whole record; asking for one more costs an exception */
        Py_ssize_t read = read_record(self, got);
        if (read == -2)
            break;
        if (read < 0)
            return -1;
        if (read == 0) {
            *over = 1;
            break;
        }
        got += read;
        more = pending(self->incoming);
    }
    return more < 0 ? -1 : got;
}

int tls_readable(Leg *self)
{
    Py_ssize_t count = leg_read(self, self->sealed, self->sealed_size), got = 0;
    if (count <= 0)
        return (int)count;
    int over = 0;
    for (Py_ssize_t start = 0; start < count && !over; start += SEALED_AT_ONCE) {
        if (let_in(self, start, count - start < SEALED_AT_ONCE ? count - start : SEALED_AT_ONCE) < 0)
            return -1;
        got = read_records(self, got, &over);
        if (got < 0)
            return broken(self);
    }
    Py_ssize_t said = pending(self->outgoing);
    if (said < 0 || (said > 0 && call((PyObject *)self, names.answer) < 0))
        return -1;
    if (got > PLAIN_AT_ONCE && !IS_NONE(self->local) && call(self->local, names.expect_much) < 0)
        return -1;
    if (got && leg_take(self, self->from_leg, self->in, got) < 0)
        return -1;
    return over ? call((PyObject *)self, names.lost_on_read) : 0;
}
