/* The inner part of the fast relay, compiled: it handles every event of a leg or local connection. Each function here
 * does the same as the Python method of its name in net/fast or net/legacts, which remains the reference. Rare cases
 * (resets, breaches, pipes, timers) are left to the Python methods, which are called from here by name.
 *
 * Conventions: a function that returns int returns -1 with an exception set, or else what its comment says. All of them
 * run with the interpreter's lock held. A caller of Python code holds references to whatever it uses after the call. */

#ifndef GOTUNNEL_NATIVE_H
#define GOTUNNEL_NATIVE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stddef.h>
#include <stdint.h>
#include <structmember.h>
#include <sys/uio.h>

#define STATES 16
#define EVENTS 20
#define ACTS 6
#define HEADER_BYTES 4
#define MAX_BODY_BYTES 4096
#define MOST_PIECES 64 /* of several frames in one system call; see local.MOST_PIECES */

/* What handles the events of a descriptor. */
typedef enum { NOBODY, CALLABLE, LOCAL, LEG } Kind;

typedef struct {
    PyObject *handler; /* a callable, or the Local or Leg itself */
    unsigned round;    /* the round in which it was added */
    Kind kind;
} Slot;

typedef struct Leg Leg;

/* A leg whose OPENED waits for other frames, and until when (monotonic seconds). */
typedef struct {
    Leg *leg;
    double due;
} Soon;

typedef struct {
    PyObject_HEAD
    int epfd;
    int room; /* the number of slots; a descriptor's number is its index */
    Slot *slots;
    unsigned round;
    Soon *soon; /* used from `first` to `last`, the earliest first */
    int first, last, soon_room;
    char keeps_time; /* of `soon`; if not set, a timer of the reactor does, which a test can control */
    char must_return; /* tells `serve` to return after the current batch */
} Pump;

typedef struct {
    PyObject_HEAD
    PyObject *sock; /* the Python object; NULL until it is asked for */
    PyObject *address, *host, *on_gone, *partner, *why, *leg, *pipe;
    PyObject *out; /* a bytearray; NULL until something is queued */
    PyObject *poller, *tools, *others, *last, *came_to;
    int fd, family;
    int mask; /* -1: not registered with the poller */
    char read_ended, reading, begins, finishing, gone, gets_much, half_closing, looked_at, shut;
    char owns; /* whether it owns the descriptor, while `sock` is NULL */
} Local;

struct Leg {
    PyObject_HEAD
    PyObject *local, *tally, *meter, *body, *inbuf, *out, *up, *owner, *deadlines, *tools, *poller, *clock, *begins, *rst_code;
    PyObject *from_leg, *from_local, *cipher; /* the relay's buffers, as memoryviews */
    PyObject *session, *incoming, *outgoing, *records; /* TLS; session is NULL on a plain leg */
    char *in, *to_send, *sealed; /* the memory of these buffers */
    Py_ssize_t in_size, landing, sealed_size;
    Py_ssize_t bulk_read, bulk;
    long long left;
    double last_received;
    PyObject *answer_timeout; /* a float */
    int fd, mask, state, end, opens;
    char parsing, corked, dialling, full, watched, blocked, unhurried, held, limited;
};

/* See core/stream.StreamTally. */
typedef struct {
    PyObject_HEAD
    PyObject *outcome, *code; /* NULL: no problem was noted */
    long long sent, received;
} Tally;

/* See net/deadlines. */
typedef struct {
    PyObject_HEAD
    PyObject *by_length, *timer, *clock;
    double strikes;
} Deadlines;

extern PyTypeObject PumpType, LocalType, LegType, DeadlinesType, TallyType;

#define IS_NONE(object) ((object) == NULL || (object) == Py_None)
#define IS_LOCAL(object) PyObject_TypeCheck(object, &LocalType)
#define IS_LEG(object) PyObject_TypeCheck(object, &LegType)

/* module.c: the rules given to `learn`, and interned names. */

typedef enum {
    ACT_PYTHON, ACT_WRITE, ACT_OPEN, ACT_DIAL, ACT_ANSWERED, ACT_HALF_CLOSE, ACT_FINISH, ACT_IDLE
} ActKind;

typedef struct {
    ActKind kind;
    PyObject *what; /* a callable that takes the leg, or the bytes to write */
} Act;

typedef struct {
    char known, after, acts;
    Act act[ACTS];
    PyObject *last; /* a callable (leg, event, state before), or NULL */
} Row;

typedef struct {
    Row rows[2][STATES][EVENTS];
    unsigned delivers[2], discards[2]; /* sets of states */
    PyObject *states, *events, *ends, *frames; /* tuples of the members */
    int closed, idle, streaming;                          /* states */
    int local_eof, local_closed, got_data, start, dialled; /* events */
    int event_of_frame[8];
    PyObject *breach;  /* RemoteProtocolError */
    PyObject *opened;  /* the body of the usual OPENED */
    PyObject *tally;   /* the type of tallies */
    PyObject *stream_end, *completed;
    PyObject *happen, *local_readable, *answered; /* Python methods for rare cases */
    PyObject *open, *attach;
    PyObject *socket_type; /* of the module _socket */
    PyObject *ssl_want_read, *ssl_zero, *ssl_error;
    PyObject *ignore;
    int equipped;
} Rules;

extern Rules rules;

typedef struct {
    PyObject *held, *sent, *received, *begin, *begins, *lost, *local_closed, *local_readable, *reason, *breach, *give_up,
        *lost_on_read, *bulk_in, *bulk_out, *splice_out, *readable, *flush_pipe, *unsent, *receive, *half_close, *finish,
        *leg_idle, *leg_ended, *leg_answered, *leg_first_byte, *leg_open, *end, *opener, *part, *stop, *add, *remove, *watch,
        *pipes, *give_back, *close, *later, *flush_local, *forget, *send, *send_all, *begin_local, *read_more, *reading,
        *write, *read, *pending, *say_much, *expect_much, *seal, *answer, *tls_broke,
        *send_open, *watch_for_loss, *handle_pending, *flush_soon, *late, *start, *wake, *short_, *accepted, *ceiling, *last,
        *sock, *outcome, *code, *up, *down, *seconds, *copy, *update, *digest;
} Names;

extern Names names;

int seconds_of(PyObject *clock, double *now); /* the reactor's time */
double monotonic(void);
PyObject *take_problem(void);  /* return the current exception, and clear it */
int missing(PyObject *object); /* whether it is NULL; then sets an exception */
PyObject *answer(int done); /* None, or NULL if `done` is below 0 */
int not_now(void);          /* whether errno says that there is no data, or no room, at the moment */
int call(PyObject *object, PyObject *name);
int call1(PyObject *object, PyObject *name, PyObject *argument);
int int_of(PyObject *number, int *value);
int truth(PyObject *object, PyObject *name); /* of an attribute: 0 or 1 */
int add_to(PyObject *object, PyObject *name, Py_ssize_t count);
void hold(PyObject **field, PyObject *value);
int append(PyObject **bytearray, const char *data, Py_ssize_t size);
int drop_front(PyObject *bytearray, Py_ssize_t count); /* fails while there is a view of it */
Py_ssize_t waiting(PyObject *bytearray);

/* pump.c, pumptype.c */

int pump_add(Pump *self, int fd, int mask, PyObject *handler, Kind kind);
int pump_remove(Pump *self, int fd);
int pump_control(Pump *self, int operation, int fd, int mask);
Slot *pump_slot(Pump *self, int fd); /* NULL if it has no handler */
Leg *pump_take_soon(Pump *self);     /* returns a reference */
PyObject *pump_run(PyObject *object, PyObject *const *arguments, Py_ssize_t count);
PyObject *pump_serve(PyObject *object, PyObject *const *arguments, Py_ssize_t count);

int poller_add(PyObject *poller, int fd, int mask, PyObject *handler, Kind kind);
int poller_set(PyObject *poller, int fd, int mask);
int pump_flush_soon(Pump *self, Leg *leg);
int poller_remove(PyObject *poller, int fd);

/* local.c, localtype.c, sockets.c */

int local_blocked(Local *self);                              /* 0 or 1 */
int local_send(Local *self, struct iovec *pieces, int count); /* 0: all sent; 1: some queued; 2: it was reset */
int local_read_more(Local *self, int on);
int local_rest(Local *self);
int local_half_close(Local *self);
int local_finish(Local *self);
int local_handle(Local *self, int events);
int local_watch(Local *self, int mask);
int local_shut_down(Local *self);
int local_close(Local *self);
PyObject *local_handle_py(PyObject *self, PyObject *events);

PyObject *local_made(PyTypeObject *type, int fd, int family, const char *address, const char *host, PyObject *tools,
                     PyObject *others); /* takes over the descriptor, even on failure */
PyObject *welcome(PyObject *module, PyObject *const *arguments, Py_ssize_t count);
PyObject *dial(PyObject *module, PyObject *arguments);

/* opens.c */

PyObject *write_open(PyObject *module, PyObject *const *arguments, Py_ssize_t count);
PyObject *read_open(PyObject *module, PyObject *body);
PyObject *prove_open(PyObject *module, PyObject *const *arguments, Py_ssize_t count);

/* tally.c */

int tally_add(PyObject *tally, int received, Py_ssize_t count);
PyObject *tally_end(PyObject *tally, int opener);

/* deadlines.c */

int deadlines_start(PyObject *object, PyObject *key, PyObject *seconds, PyObject *act);
int deadlines_stop(PyObject *object, PyObject *key);

/* leg.c, acts.c, legtype.c, legfields.c, opening.c, frames.c, sending.c, tls.c */

extern PyGetSetDef leg_getset[];
extern PyMemberDef leg_members[];

int leg_index_of(PyObject *members, PyObject *member); /* for states, events or ends; -1 with an exception */

int leg_handle(Leg *self, int events);
PyObject *leg_handle_py(PyObject *self, PyObject *events);
Py_ssize_t leg_read(Leg *self, char *buffer, Py_ssize_t size);
int leg_local_readable(Leg *self);
int leg_local_closed(Leg *self);
int leg_local_drained(Leg *self);
int leg_local_is_full(Leg *self);
int leg_set_reading(Leg *self);

int leg_open(Leg *self, PyObject *local, PyObject *body, int held); /* opening.c */
int leg_accept(Leg *self, PyObject *local, int awaited);

int leg_happen(Leg *self, int event); /* acts.c */
int leg_cancel_timer(Leg *self);
int leg_new_tally(Leg *self);
int leg_tell_owner(Leg *self, PyObject *method, PyObject *more);

int leg_take(Leg *self, PyObject *view, const char *data, Py_ssize_t count);
int leg_parse(Leg *self, PyObject *base, const char *data, Py_ssize_t count);

int leg_write(Leg *self, const char *data, Py_ssize_t size);
int leg_send(Leg *self, const char *data, Py_ssize_t size);
int leg_flush(Leg *self); /* 1: all sent */
int leg_uncork(Leg *self);
int leg_uncork_behind(Leg *self, int done);
int leg_flush_now(Leg *self);
int leg_set_blocked(Leg *self, int blocked);
int leg_watch(Leg *self, int mask);
int leg_be_watched(Leg *self);
Py_ssize_t leg_unsent(Leg *self); /* -1 with an exception */

int tls_send(Leg *self, const char *data, Py_ssize_t size);
int tls_flush(Leg *self); /* 1: all sent */
int tls_readable(Leg *self);

#endif
