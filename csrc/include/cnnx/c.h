/* cnnx for C, and for whatever calls C: a net from an ONNX file, made ready for inputs of fixed shapes, and run.
 *
 *   cnnx_net* net = NULL;
 *   cnnx_session* session = NULL;
 *   cnnx_session_options options = CNNX_SESSION_OPTIONS;
 *   options.threads = 1;
 *   if (cnnx_load_onnx("net.onnx", &net) != CNNX_OK || cnnx_session_create(net, &options, &session) != CNNX_OK)
 *     fprintf(stderr, "%s\n", cnnx_last_error());
 *   cnnx_session_run(session, image, 784, scores, 10);
 *   cnnx_session_free(session);
 *   cnnx_net_free(net);
 *
 * Every function that can fail answers with a status and writes its result only when that is CNNX_OK; a net or a session that it
 * would make is NULL otherwise. A null pointer or a wrong argument is a status too. No C++ exception leaves these functions. They
 * may be called from any thread; one session runs one call at a time and refuses a second, sessions of one net run side by side.
 *
 * What stays as it is: the functions, the numbers of the enumerations, cnnx_input and cnnx_output. A struct that may grow begins
 * with struct_size, which the caller sets to its sizeof: a newer library fills or reads as much as the caller knows of. An older
 * one fills what it knows, and answers CNNX_NOT_SUPPORTED where a member that it does not know is not zero.
 *
 * C99, or C++. */
#ifndef CNNX_C_H
#define CNNX_C_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define CNNX_C_API __attribute__((visibility("default")))
#else
#define CNNX_C_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef int32_t cnnx_status;
enum {
  CNNX_OK = 0,
  CNNX_ERROR = 1,         /* what has no number of its own */
  CNNX_BAD_ARGUMENT = 2,  /* a null pointer, a number out of range, a file that is no model, a name of no device */
  CNNX_BAD_SHAPE = 3,     /* sizes that do not fit */
  CNNX_BAD_DTYPE = 4,     /* elements of another type */
  CNNX_BAD_INDEX = 5,     /* of an input or an output */
  CNNX_NOT_SUPPORTED = 6, /* what cnnx lacks: ops of the file; or this build or machine: a device */
  CNNX_IO_ERROR = 7,      /* the system could not read the file */
  CNNX_OUT_OF_MEMORY = 8
};

/* Types of elements; the numbers are ONNX's. */
typedef int32_t cnnx_dtype;
enum {
  CNNX_FLOAT32 = 1,
  CNNX_UINT8 = 2,
  CNNX_INT32 = 6,
  CNNX_INT64 = 7,
  CNNX_BOOL = 9, /* a byte, 0 or 1 */
  CNNX_FLOAT64 = 11
};

/* The library's version, "0.1.0". */
CNNX_C_API const char* cnnx_version(void);

/* What the last call on this thread that failed said, in one line that begins with the function's name; "" before the first.
 * It stays until the next call on this thread that fails. */
CNNX_C_API const char* cnnx_last_error(void);
/* Its status; CNNX_OK before the first. */
CNNX_C_API cnnx_status cnnx_last_status(void);

/* A net as its file has it. It may be freed while sessions made from it live. */
typedef struct cnnx_net cnnx_net;

/* Reads an ONNX file: opsets 7 to 28. Weights may lie in files beside it, and nowhere else. */
CNNX_C_API cnnx_status cnnx_load_onnx(const char* path, cnnx_net** net);
/* The same from memory, which may go afterwards, without weights in other files; `name` is for errors, and may be null. */
CNNX_C_API cnnx_status cnnx_parse_onnx(const void* data, size_t size, const char* name, cnnx_net** net);

/* Which net a file has the weights of. Start from CNNX_MODEL("lenet5"): for images of 1 x 28 x 28 and 10 classes. */
typedef struct cnnx_model {
  size_t struct_size; /* sizeof(cnnx_model) */
  const char* name;   /* "lenet5", "cnn-32-64", ...: the names of cnnx/models.h and of Python's cnnx.models */
  int64_t channels, height, width, classes;
} cnnx_model;
#define CNNX_MODEL(name) {sizeof(cnnx_model), name, 1, 28, 28, 10}

/* The net of that name with the weights of a safetensors file, which cnnx.save(net.state_dict(), path) or `cnnx train` wrote, for
 * inference. Its input, "images", is (-1, channels, height, width), its output, "scores", (-1, classes). */
CNNX_C_API cnnx_status cnnx_load_safetensors(const char* path, const cnnx_model* model, cnnx_net** net);

/* Null does nothing. */
CNNX_C_API void cnnx_net_free(cnnx_net* net);

/* An input or output, of a net or of a session. */
typedef struct cnnx_value {
  size_t struct_size;   /* sizeof(cnnx_value) */
  const char* name;     /* it and the shape live as long as what was asked */
  cnnx_dtype dtype;     /* of a net's output whose type the file does not say: CNNX_FLOAT32 */
  int32_t rank;         /* -1: a net may leave the shape open; a session does not */
  const int64_t* shape; /* `rank` extents; -1: any */
  uint64_t bytes;       /* that all elements take; 0 where the net leaves an extent open */
} cnnx_value;
#define CNNX_VALUE {sizeof(cnnx_value), NULL, 0, 0, NULL, 0}

CNNX_C_API cnnx_status cnnx_net_input_count(const cnnx_net* net, size_t* count);
CNNX_C_API cnnx_status cnnx_net_output_count(const cnnx_net* net, size_t* count);
CNNX_C_API cnnx_status cnnx_net_input(const cnnx_net* net, size_t index, cnnx_value* value);
CNNX_C_API cnnx_status cnnx_net_output(const cnnx_net* net, size_t index, cnnx_value* value);

/* A net made ready for inputs of fixed shapes, its memory planned. A run on the CPU allocates nothing, but for scratch that a
 * thread keeps from its first one. */
typedef struct cnnx_session cnnx_session;

/* Start from CNNX_SESSION_OPTIONS, which sets what is written behind each. */
typedef struct cnnx_session_options {
  size_t struct_size;           /* sizeof(cnnx_session_options) */
  int64_t batch;                /* 1: the first extent of inputs that leave it open */
  int32_t threads;              /* 0: as many as the process may use; that a run may use, the calling thread among them */
  int32_t keep_batch_norm;      /* 0: batch normalisation behind a convolution becomes part of its weights; 1: it stays */
  const char* device;           /* NULL: the CPU; else "cuda" or "cuda:1" */
  const int64_t* const* shapes; /* NULL: as the net has them; else one shape for each input, */
  const int32_t* ranks;         /* NULL; of so many extents, */
  size_t shape_count;           /* 0; for so many inputs */
} cnnx_session_options;
#define CNNX_SESSION_OPTIONS {sizeof(cnnx_session_options), 1, 0, 0, NULL, NULL, NULL, 0}

/* Runs the net on zeros, where inputs are integers on ones, and plans it. `options` may be null: the defaults. */
CNNX_C_API cnnx_status cnnx_session_create(const cnnx_net* net, const cnnx_session_options* options, cnnx_session** session);
/* Null does nothing. */
CNNX_C_API void cnnx_session_free(cnnx_session* session);

CNNX_C_API cnnx_status cnnx_session_input_count(const cnnx_session* session, size_t* count);
CNNX_C_API cnnx_status cnnx_session_output_count(const cnnx_session* session, size_t* count);
CNNX_C_API cnnx_status cnnx_session_input(const cnnx_session* session, size_t index, cnnx_value* value);
CNNX_C_API cnnx_status cnnx_session_output(const cnnx_session* session, size_t index, cnnx_value* value);

/* Of a net with one float32 input and one float32 output, row-major; counts are in numbers and must be those of the shapes. */
CNNX_C_API cnnx_status cnnx_session_run(cnnx_session* session, const float* input, size_t input_count, float* output,
                                        size_t output_count);

/* Elements, row-major, in memory of the host. */
typedef struct cnnx_input {
  const void* data;
  uint64_t bytes;
  cnnx_dtype dtype;
  int32_t reserved; /* 0 */
} cnnx_input;
typedef struct cnnx_output {
  void* data;
  uint64_t bytes;
  cnnx_dtype dtype;
  int32_t reserved; /* 0 */
} cnnx_output;

/* Of any number of inputs and outputs and of any types, which must be those of the session. */
CNNX_C_API cnnx_status cnnx_session_run_many(cnnx_session* session, const cnnx_input* inputs, size_t input_count,
                                             const cnnx_output* outputs, size_t output_count);

#ifdef __cplusplus
}
#endif

#endif
